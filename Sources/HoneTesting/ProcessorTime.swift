import Foundation

/// The time that this thread has computed for, so that a busy machine makes no test late.
public enum ProcessorTime {
    /// In seconds, from some beginning.
    public static var seconds: Double {
        var time = timespec()
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
        return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
    }
}
