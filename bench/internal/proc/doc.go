// Package proc reads from Linux's /proc what processes and the machine have used.
//
// What: CPU time, memory, reads and writes of single processes, CPU time of the whole machine, and nothing else.
// It never looks for processes: the caller names them by pid.
//
// Units: CPU time is time.Duration in steps of Tick (10 ms); memory is bytes.
//
// Shape:
//
//	/proc/PID/stat    -> ParseCPU     -> CPU{User, System}
//	/proc/PID/status  -> ParseMemory  -> Memory{Anon, File}
//	/proc/PID/status  -> ParsePeak    -> bytes
//	/proc/PID/io      -> ParseIO      -> IO{Read, Written, Stored}
//	/proc/stat        -> ParseMachine -> Machine{Busy, Steal}
//
// Errors: a file that cannot be read or does not look as documented in proc(5); never a panic.
//
// Concurrency: functions only; any goroutine may call them.
//
// Source: the manual page proc(5).
package proc
