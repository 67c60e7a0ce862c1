package config

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/xoauthd/xoauthd/internal/text"
)

// A containerInfo describes the environment of a file, which decides how its mode can
// be changed. The zero value is a host without containers.
type containerInfo struct {
	kubernetes bool
	container  bool // Docker or Podman
	readOnly   bool // the file is on a read-only mount
}

func detectContainer(path string) containerInfo {
	c := containerInfo{kubernetes: os.Getenv("KUBERNETES_SERVICE_HOST") != ""}
	for _, marker := range []string{"/.dockerenv", "/run/.containerenv"} { // Docker, Podman
		if _, err := os.Lstat(marker); err == nil {
			c.container = true
		}
	}
	c.readOnly = unix.Access(path, unix.W_OK) == unix.EROFS
	return c
}

// fix returns the command that removes an exposure. For a mount in a container where no
// command can, it returns the setting to change instead.
func (e *exposure) fix(c containerInfo) string {
	command := e.command + " " + text.ShellWord(e.path)
	switch {
	case c.kubernetes:
		return "in Kubernetes, give the secret or configMap volume defaultMode: 0440 and the pod an fsGroup; on a persistent volume, use a directory with mode 0700 below its root"
	case c.container && c.readOnly:
		return "the mount is read-only, so on the host give the file mode 0400 and the user that the container runs as (Docker Compose ignores mode: and uid: of a secret with file:, Swarm obeys them)"
	}
	return command
}
