package daemon

import "syscall"

// hintFiles is what an administrator can do where descriptors run out.
const hintFiles = "allow the daemon more open files: LimitNOFILE= in the unit, or ulimit -n"

// otherFiles is how many are open beside those of sessions: state, pages, metrics
// and calls to providers.
const otherFiles = 100

// warnOfFiles says so if fewer files may be open than sessions need: each is a
// socket to its client and one to the mail server.
func (d *Daemon) warnOfFiles(most uint64) {
	needed := uint64(2*d.config.Limits.Sessions + otherFiles)
	if most < needed {
		d.log.Warn("sessions will fail for want of open files: set LimitNOFILE= in the unit, or ulimit -n, or lower limits.sessions",
			"may_be_open", most, "needed", needed)
	}
}

// openFiles is how many this process may have open. Go has raised that to the most
// that it can be.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return ^uint64(0) // not known, so nothing to warn of
	}
	return uint64(limit.Cur) // signed on some systems
}
