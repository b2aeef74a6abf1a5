import CHoneTorch
import Glibc
import HoneFormats

/// The tensor engine of this process: version, threads, devices. It is libtorch's own global state, and the only one.
public enum Engine {
    /// libtorch's version, such as `2.11.0`.
    public static var version: String { String(cString: hone_version()) }

    /// The instruction set that libtorch's kernels use here, such as `AVX2` or `AVX512`.
    public static var instructionSet: String { String(cString: hone_cpu_capability()) }

    /// How many threads an operator may use on the CPU.
    public static var threads: Int { Int(hone_threads()) }

    /// Sets how many threads an operator may use on the CPU.
    public static func setThreads(_ count: Int) throws {
        guard (1...1024).contains(count) else {
            throw HoneError(.usage, "the number of threads must be from 1 to 1024, not \(count)", item: "threads")
        }
        try check(hone_set_threads(Int32(count)), in: "set_num_threads")
    }

    /// Whether waiting OpenMP threads sleep; spinning ones fight for the processor when the machine is busy.
    ///
    /// libgomp reads this when it is loaded, so it is the start of the executable that sets it.
    public static var threadsWaitPassively: Bool {
        getenv("OMP_WAIT_POLICY").map { String(cString: $0).lowercased() == "passive" } ?? false
            || getenv("GOMP_SPINCOUNT").map { String(cString: $0) == "0" } ?? false
    }

    /// The CUDA devices that can be used: none without a CUDA libtorch beside the CPU's.
    public static var cudaDevices: Int { hone_load_cuda() ? Int(hone_cuda_devices()) : 0 }

    /// Waits for everything that was asked of a device; at once on the CPU.
    public static func synchronize(_ device: Device) throws {
        if case .cuda = device { try check(hone_cuda_synchronize(), in: "synchronize") }
    }

    /// Prepares a process that is going to train: keeps freed memory for the next step instead of giving it back to the
    /// kernel, and chooses the number of threads.
    ///
    /// - Parameter threads: how many threads; by default as many as `calibratedThreads` finds fastest.
    public static func start(threads: Int? = nil) throws {
        hone_keep_freed_memory()
        try setThreads(threads ?? calibratedThreads())
    }

    /// Times a layer-sized product with 1 to n threads and gives the fastest count. A virtual machine that shares its
    /// cores can be slower with all of them than with one.
    ///
    /// Takes some 20 milliseconds. Two runs on a quiet machine agree; where numbers must repeat bit for bit, pass a
    /// count to `start` instead, for sums are formed in an order that depends on it.
    public static func calibratedThreads() throws -> Int {
        let available = max(1, availableProcessors)
        guard available > 1 else { return 1 }
        let before = threads
        defer { _ = hone_set_threads(Int32(before)) }
        return try withoutGradients {
            let input = try Tensor.full([256, 384], 0.5)
            let weight = try Tensor.full([1536, 384], 0.25)
            var best = (threads: available, seconds: Double.infinity)
            var candidates = [available, 1]
            var half = available / 2
            while half > 1 {
                candidates.append(half)
                half /= 2
            }
            for count in candidates {
                try setThreads(count)
                var fastest = Double.infinity
                for _ in 0..<6 {
                    let start = monotonicSeconds()
                    _ = try input.linear(weight).gelu()
                    fastest = min(fastest, monotonicSeconds() - start)
                }
                // More threads must pay for themselves: within a tenth, all of them are kept.
                if fastest < best.seconds * 0.9 { best = (count, fastest) }
            }
            return best.threads
        }
    }

    /// The processors that this process may run on.
    public static var availableProcessors: Int { Swift.max(1, Int(hone_processors())) }

    /// The largest resident memory of this process so far, or since `resetPeakResident`, in bytes.
    public static var peakResidentBytes: Int { Int(hone_peak_resident_bytes()) }

    /// Gives freed memory back to the kernel and lets `peakResidentBytes` start anew.
    public static func resetPeakResident() { hone_reset_peak_resident() }

    /// The resident memory of this process now, in bytes.
    public static var residentBytes: Int {
        guard let file = fopen("/proc/self/statm", "r") else { return 0 }
        defer { fclose(file) }
        var total = 0
        var resident = 0
        let read = withUnsafeMutablePointer(to: &total) { first in
            withUnsafeMutablePointer(to: &resident) { second in
                withVaList([first, second]) { vfscanf(file, "%ld %ld", $0) }
            }
        }
        return read == 2 ? resident * sysconf(Int32(_SC_PAGESIZE)) : 0
    }
}

/// Seconds on a clock that never jumps.
public func monotonicSeconds() -> Double {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
}
