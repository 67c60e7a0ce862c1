package lint

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// maxREADME is the length of README.md in lines: it leads to the documents in docs, and
// does not repeat them.
const maxREADME = 150

func TestREADME(t *testing.T) {
	text := readDocument(t, "README.md")
	if n := strings.Count(text, "\n"); n > maxREADME {
		t.Errorf("README.md has %d lines, at most %d are allowed: move details to docs", n, maxREADME)
	}
	pages, err := filepath.Glob(filepath.Join(root, "docs", "*.md"))
	if err != nil || len(pages) == 0 {
		t.Fatal("there are no documents", err)
	}
	for _, page := range pages {
		if link := "](docs/" + filepath.Base(page) + ")"; !strings.Contains(text, link) {
			t.Errorf("README.md has no link %s", link)
		}
	}
}

// TestChangelog checks that CHANGELOG.md has the form of https://keepachangelog.com.
func TestChangelog(t *testing.T) {
	text := readDocument(t, "CHANGELOG.md")
	if !strings.HasPrefix(text, "# Changelog\n") || !strings.Contains(text, "\n## [Unreleased]\n") {
		t.Error("CHANGELOG.md does not begin with # Changelog, or has no section [Unreleased]")
	}
	version := regexp.MustCompile(`^## \[(Unreleased|\d+\.\d+\.\d+\] - \d{4}-\d\d-\d\d)`)
	kinds := []string{"### Added", "### Changed", "### Deprecated", "### Removed", "### Fixed", "### Security"}
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if strings.HasPrefix(line, "## ") && !version.MatchString(line) || strings.HasPrefix(line, "### ") && !slices.Contains(kinds, line) {
			t.Errorf("CHANGELOG.md: %q is not a heading of that form", line)
		}
	}
}

// maxImage is the size of an image of the documents.
const maxImage = 150 << 10

func TestImages(t *testing.T) {
	images, err := filepath.Glob(filepath.Join(root, "docs", "images", "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, image := range images {
		info, err := os.Stat(image)
		if err != nil {
			t.Fatal(err)
		}
		if info.Size() > maxImage {
			t.Errorf("%s has %d bytes, at most %d are allowed", image, info.Size(), maxImage)
		}
	}
}

func readDocument(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
