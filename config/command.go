package config

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// tokenCommand reads a command that prints an access token, a program and its
// arguments, and the time it has. There is no shell, and the daemon's PATH is
// not the reader's, so the program has its whole path. A client that logs in
// waits 28 seconds, of which the upstream needs some.
func (t *table) tokenCommand() ([]string, time.Duration) {
	command := t.texts("token_command", nil)
	timeout := t.duration("token_command_timeout", 10*time.Second, time.Second, 20*time.Second)
	if len(command) == 0 {
		return nil, 0
	}
	if err := t.file.checkProgram(command[0]); command[0] != "" && err != nil {
		t.file.fault(t.place.key("token_command").item(0).at(), "token_command: %v", err)
	}
	for i, arg := range command {
		for _, word := range bracedWord.FindAllStringSubmatch(arg, -1) {
			if word[1] != mailboxWord {
				t.file.warn(t.place.key("token_command").item(i).at(), "token_command: %s stays as it is; only %s is replaced, by the mailbox", word[1], mailboxWord)
			}
		}
	}
	return command, timeout
}

// mailboxWord stands for the mailbox in a command.
const mailboxWord = "{account}"

// bracedWord finds what looks like it. ${NAME} is the shell's.
var bracedWord = regexp.MustCompile(`(?:^|[^$])(\{\w+\})`)

// namesMailbox reports whether a command is told for which mailbox it runs.
func namesMailbox(command []string) bool {
	return slices.ContainsFunc(command, func(arg string) bool { return strings.Contains(arg, mailboxWord) })
}

func (f *file) checkProgram(path string) error {
	if !filepath.IsAbs(path) {
		return errors.New("it must begin with the whole path of a program, such as /usr/bin/oama")
	}
	info, err := os.Stat(path)
	switch {
	case err != nil && strings.Contains(path, " "):
		return errors.New("there is no program of that name; each argument is a string of its own")
	case err != nil:
		return reason(path, err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return errors.New(path + " is not a program; chmod +x makes one of a script")
	}
	return f.checkWriters(path, info)
}
