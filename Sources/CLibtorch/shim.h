// The include and link paths come from pkg-config; CHoneTorch includes the headers of libtorch itself.
