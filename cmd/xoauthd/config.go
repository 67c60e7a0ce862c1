package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"github.com/xoauthd/xoauthd/config"
	"github.com/xoauthd/xoauthd/internal/daemon"
)

func configCommand(file *string) *cobra.Command {
	return &cobra.Command{
		Use:   "config",
		Short: "Print the configuration for a bug report",
		Long: `Print version, system and configuration for a bug report. Comments, and keys that
have their default, are left out. Secrets are shown as "(secret)".`,
		Args: noArguments,
		RunE: action(func(cmd *cobra.Command, _ []string) error {
			settings, err := config.Settings(*file)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(cmd.OutOrStdout(), "# xoauthd %s\n# %s\n# %s\n\n%s", daemon.Version(), system(), *file, settings)
			return err
		}),
	}
}

// system names the operating system and the Go version.
func system() string {
	all := runtime.GOOS + "/" + runtime.GOARCH + ", " + runtime.Version()
	f, err := os.Open("/etc/os-release") // os-release(5)
	if err != nil {
		return all
	}
	defer f.Close()
	return all + prettyName(f)
}

// prettyName returns PRETTY_NAME of os-release(5) behind a comma, or nothing.
func prettyName(r io.Reader) string {
	for lines := bufio.NewScanner(io.LimitReader(r, 64<<10)); lines.Scan(); {
		if name, ok := strings.CutPrefix(lines.Text(), "PRETTY_NAME="); ok {
			return ", " + strings.Trim(name, `"'`)
		}
	}
	return ""
}
