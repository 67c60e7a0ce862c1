package daemon

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// TestReserveRenewed checks that the state directory is not reported as full any more soon
// after space is free, although no grant is saved.
func TestReserveRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := assembleOpen(t, "")
		reserve := filepath.Join(d.config.StateDirectory, "reserve")
		obstacle := filepath.Join(reserve, "obstacle")
		if err := os.Remove(reserve); err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(obstacle, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}

		again, err := Assemble(d.config, d.log)
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go again.maintainState(ctx)
		time.Sleep(5*maintainEvery + maintainEvery/2) // between two ticks
		synctest.Wait()
		if again.full() != 1 {
			t.Error("there is no reserve, and the state directory is not reported as full")
		}
		if err := os.RemoveAll(reserve); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * maintainEvery)
		synctest.Wait()
		if again.full() != 0 {
			t.Error("there is room, and the state directory is reported as full")
		}
	})
}
