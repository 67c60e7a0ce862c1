package main

import (
	"flag"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write man/xoauthd.toml.5")

// TestConfigManual: man/xoauthd.toml.5 has what docs/configuration.md says.
// "go test ./cmd/xoauthd -run TestConfigManual -update" writes it.
func TestConfigManual(t *testing.T) {
	const file = "man/xoauthd.toml.5"
	want := manualHead + mdoc(read(t, "docs/configuration.md")) + manualTail
	if *update {
		must(t, os.WriteFile("../../"+file, []byte(want), 0o644))
	}
	if read(t, file) != want {
		t.Errorf("%s is not what docs/configuration.md says: write it with -update", file)
	}
}

const (
	manualHead = `.\" Made from docs/configuration.md by TestConfigManual: change that.
.Dd November 29, 2026
.Dt XOAUTHD.TOML 5
.Os
.Sh NAME
.Nm xoauthd.toml
.Nd configuration of xoauthd
.Sh DESCRIPTION
`
	manualTail = `.Sh FILES
.Bl -tag -width Ds
.It Pa /etc/xoauthd/xoauthd.toml
The configuration.
.El
.Sh SEE ALSO
.Xr xoauthd 8
`
)

var (
	markdownLink = regexp.MustCompile(`(\b[Ss]ee )?\[([^\]]*)\]\(([^)#]*)[^)]*\)`)
	emphasis     = regexp.MustCompile(`\*([^*]+)\*`)
)

// mdoc turns the Markdown of docs/configuration.md into mdoc(7).
func mdoc(markdown string) string {
	var b strings.Builder
	table, list := false, false
	for line := range strings.Lines(markdown) {
		line = strings.TrimSuffix(line, "\n")
		if table && !strings.HasPrefix(line, "|") {
			b.WriteString(".El\n")
			table = false
		}
		if list && !strings.HasPrefix(line, "- ") && !strings.HasPrefix(line, "  ") {
			b.WriteString(".El\n")
			list = false
		}
		switch {
		case strings.HasPrefix(line, "# "), strings.HasPrefix(line, "| key |"), strings.HasPrefix(line, "|---"):
		case strings.HasPrefix(line, "## "):
			b.WriteString(".Sh " + strings.ToUpper(line[3:]) + "\n")
		case strings.HasPrefix(line, "|"):
			if !table {
				b.WriteString(".Bl -tag -width Ds\n")
				table = true
			}
			cells := strings.Split(strings.Trim(line, "| "), " | ")
			for len(cells) < 4 {
				cells = append(cells, "")
			}
			b.WriteString(".It " + strings.ReplaceAll(roff(cells[0]), ", ", " , ") + "\n")
			writeRow(&b, cells[1], cells[2], cells[3])
		case strings.HasPrefix(line, "- "):
			if !list {
				b.WriteString(".Bl -bullet\n")
				list = true
			}
			b.WriteString(".It\n" + roff(line[2:]) + "\n")
		case line == "":
		default:
			b.WriteString(roff(strings.TrimSpace(line)) + "\n")
		}
	}
	if table {
		b.WriteString(".El\n")
	}
	return b.String()
}

// writeRow writes the cells of a row behind its key.
func writeRow(b *strings.Builder, kind, def, meaning string) {
	meaning = strings.Trim(meaning, "| ")
	code := strings.HasPrefix(meaning, "`") // such a word has its own case
	if meaning != "" {
		meaning = roff(meaning)
		if !strings.Contains(strings.SplitN(meaning, " ", 2)[0], ":") && !code {
			meaning = strings.ToUpper(meaning[:1]) + meaning[1:]
		}
		b.WriteString(meaning + ".\n")
	}
	if kind = strings.TrimSpace(kind); kind != "" {
		b.WriteString("Type: " + roff(kind) + ".\n")
	}
	if def = strings.TrimSpace(def); strings.HasPrefix(def, "required") {
		b.WriteString(strings.ToUpper(def[:1]) + roff(def[1:]) + ".\n")
	} else if def != "" {
		b.WriteString("Default: " + roff(def) + ".\n")
	}
}

// linkText returns a link with the path of its document: "See [logins](logins.md)." becomes
// "See docs/logins.md.", and another link its text, followed by the path.
func linkText(link string) string {
	parts := markdownLink.FindStringSubmatch(link)
	see, text, file := parts[1], parts[2], path.Join("docs", parts[3])
	switch {
	case see != "":
		return see + file
	case text == file:
		return text
	}
	return text + " (" + file + ")"
}

// roff is a line without Markdown, which roff does not take for a request.
func roff(s string) string {
	s = markdownLink.ReplaceAllStringFunc(s, linkText)
	s = emphasis.ReplaceAllString(s, "$1")
	s = strings.NewReplacer("`", "", `\`, `\e`).Replace(s)
	if strings.HasPrefix(s, ".") || strings.HasPrefix(s, "'") {
		s = `\&` + s
	}
	return s
}
