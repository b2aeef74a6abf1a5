// The include and link paths come from pkg-config; CAllocationCount includes the headers of libtorch itself.
