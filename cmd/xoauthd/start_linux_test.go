package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// SIGTERM ends a daemon that has not started yet. The configuration is a pipe here
// that does not end, so that the start takes for ever.
func TestStopWhileStarting(t *testing.T) {
	file := filepath.Join(t.TempDir(), "xoauthd.toml")
	must(t, syscall.Mkfifo(file, 0o600))
	cmd := exec.Command(buildProgram(t), "serve", "--config", file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	must(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	// This opens the pipe as soon as the daemon has it open for reading.
	var pipe *os.File
	for deadline := time.Now().Add(20 * time.Second); pipe == nil; time.Sleep(10 * time.Millisecond) {
		var err error
		if pipe, err = os.OpenFile(file, os.O_WRONLY|syscall.O_NONBLOCK, 0); err != nil && time.Now().After(deadline) {
			t.Fatal("it does not read its configuration")
		}
	}
	defer pipe.Close()
	must(t, cmd.Process.Signal(syscall.SIGTERM))
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(20 * time.Second):
		cmd.Process.Kill()
		t.Error("it is still there")
	}
}
