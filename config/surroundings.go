package config

import (
	"os"

	"golang.org/x/sys/unix"

	"github.com/xoauthd/xoauthd/internal/text"
)

// surroundings say where a file is, which decides how its mode can be changed.
type surroundings struct {
	kubernetes bool
	container  bool // any other
	readOnly   bool // the mount of the file
}

func surroundingsOf(path string) surroundings {
	s := surroundings{kubernetes: os.Getenv("KUBERNETES_SERVICE_HOST") != ""}
	for _, mark := range []string{"/.dockerenv", "/run/.containerenv"} { // of Docker, and of Podman
		if _, err := os.Lstat(mark); err == nil {
			s.container = true
		}
	}
	s.readOnly = unix.Access(path, unix.W_OK) == unix.EROFS
	return s
}

// remedy returns what ends an exposure: a command or, for a mount of a container
// in which that is impossible, what to set instead.
func (e *exposure) remedy(s surroundings) string {
	command := e.command + " " + text.ShellWord(e.path)
	switch {
	case s.kubernetes:
		return "in Kubernetes, give the secret or configMap volume defaultMode: 0440 and the pod an fsGroup; on a persistent volume, use a folder of mode 0700 below its root"
	case s.container && s.readOnly:
		return "the mount is read-only, so on the host give the file mode 0400 and the user that the container runs as (Docker Compose ignores mode: and uid: of a secret with file:, Swarm obeys them)"
	}
	return command
}
