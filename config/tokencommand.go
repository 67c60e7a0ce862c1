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

// tokenCommand reads the command that prints an access token, and its timeout. xoauthd
// runs no shell, and its PATH differs from that of a login shell, so the program must be
// an absolute path. The timeout is at most 20 seconds: a client waits 28 seconds for its
// login, and the upstream needs some of them.
func (t *table) tokenCommand() ([]string, time.Duration) {
	command := t.texts("token_command", nil)
	timeout := t.duration("token_command_timeout", 10*time.Second, time.Second, 20*time.Second)
	if len(command) == 0 {
		return nil, 0
	}
	if command[0] != "" {
		t.checkTokenCommand(command[0])
	}
	for i, arg := range command {
		for _, word := range bracedWord.FindAllStringSubmatch(arg, -1) {
			if word[1] != mailboxWord {
				t.file.warn(t.pos.key("token_command").item(i).line(), "token_command: xoauthd does not replace %s; it only replaces %s, by the mailbox", word[1], mailboxWord)
			}
		}
	}
	return command, timeout
}

// mailboxWord is replaced by the mailbox in the arguments of a command.
const mailboxWord = "{account}"

// bracedWord matches words that look like mailboxWord, but not ${NAME} of the shell.
var bracedWord = regexp.MustCompile(`(?:^|[^$])(\{\w+\})`)

// namesMailbox reports whether an argument of command contains mailboxWord.
func namesMailbox(command []string) bool {
	return slices.ContainsFunc(command, func(arg string) bool { return strings.Contains(arg, mailboxWord) })
}

// checkTokenCommand reports faults of the program of a command.
func (t *table) checkTokenCommand(path string) {
	line := t.pos.key("token_command").item(0).line()
	if !filepath.IsAbs(path) {
		t.file.fault(line, "token_command: must begin with the absolute path of a program, such as /usr/bin/oama")
		return
	}
	switch err := t.file.checkProgram(path); {
	case errors.Is(err, fs.ErrNotExist) && strings.Contains(path, " "):
		t.file.fault(line, "token_command: no program has this name; write each argument as a separate string")
	case err != nil:
		t.file.externalFault(line, "token_command: %v", err)
	}
}

func (f *file) checkProgram(path string) error {
	info, err := os.Stat(path)
	switch {
	case err != nil:
		return pathError(path, err)
	case !info.Mode().IsRegular() || info.Mode().Perm()&0o111 == 0:
		return errors.New(path + " is not executable; use chmod +x for a script")
	}
	return f.checkWriters(path, info)
}
