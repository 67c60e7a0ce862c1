package config

import (
	"errors"
	"io/fs"
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
	if command[0] != "" {
		t.program(command[0])
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

// program tells what is wrong with the program of a command.
func (t *table) program(path string) {
	line := t.place.key("token_command").item(0).at()
	if !filepath.IsAbs(path) {
		t.file.fault(line, "token_command: it must begin with the whole path of a program, such as /usr/bin/oama")
		return
	}
	switch err := t.file.checkProgram(path); {
	case errors.Is(err, fs.ErrNotExist) && strings.Contains(path, " "):
		t.file.fault(line, "token_command: there is no program of that name; each argument is a string of its own")
	case err != nil:
		t.file.outside(line, "token_command: %v", err)
	}
}

func (f *file) checkProgram(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return reason(path, err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return errors.New(path + " is not a program; chmod +x makes one of a script")
	}
	return f.checkWriters(path, info)
}
