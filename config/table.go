package config

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/BurntSushi/toml"

	"github.com/xoauthd/xoauthd/internal/text"
)

// A table is one table of the file while it is read. Each key is asked for
// once, by a method that knows its type and returns its default, or the zero
// value, if it is absent or wrong; done then tells of the keys that nobody
// asked for. Faults are kept in the file, so reading goes on after each.
type table struct {
	file   *file
	path   toml.Key // empty for the top level
	list   bool     // one of an array of tables
	values map[string]any
	place  *place
	asked  []string
}

// header returns the table's header as the file writes it.
func (t *table) header() string {
	if t.list {
		return "[[" + t.path.String() + "]]"
	}
	return "[" + t.path.String() + "]"
}

// name returns the table's own name: the last part of its header.
func (t *table) name() string { return t.path[len(t.path)-1] }

// fault tells what is wrong with a key.
func (t *table) fault(key, format string, args ...any) {
	t.file.fault(t.line(key), "%s: %s", key, fmt.Sprintf(format, args...))
}

// outside tells what is wrong with what a key names: a file, a user.
func (t *table) outside(key, format string, args ...any) {
	t.file.outside(t.line(key), "%s: %s", key, fmt.Sprintf(format, args...))
}

func (t *table) line(key string) int { return t.place.key(key).at() }

func (t *table) has(key string) bool {
	_, ok := t.values[key]
	return ok
}

// require tells of a key that is missing, and what would be right.
func (t *table) require(key, remedy string) {
	if !t.has(key) {
		t.file.fault(t.place.at(), "%s has no %s: %s", t.header(), key, remedy)
	}
}

// done tells of the keys that nobody asked for.
func (t *table) done() {
	where := "in " + t.header()
	if len(t.path) == 0 {
		where = "at the top level"
	}
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		if !slices.Contains(t.asked, key) {
			t.file.fault(t.line(key), "unknown key %q %s%s", key, where, t.meant(key))
		}
	}
}

// meant guesses what was meant by an unknown key.
func (t *table) meant(key string) string {
	if near := text.Nearest(key, t.asked); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	_, isTable := t.values[key].(map[string]any)
	switch {
	case key == "state_directory":
		return "; it belongs above the first [table]"
	case isTable && len(t.path) == 2:
		return fmt.Sprintf(`; a name with a dot in it is written in quotes: [%s."%s.%s"]`, t.path[0], t.path[1], key)
	}
	return "; the keys there are " + enumerate(slices.Sorted(slices.Values(t.asked)))
}

// value returns the value of a key, if it is there and of type T.
func value[T any](t *table, key string) (v T, ok bool) {
	t.asked = append(t.asked, key)
	if !t.has(key) {
		return v, false
	}
	if v, ok = t.values[key].(T); !ok {
		t.fault(key, "must be %s, not %s%s", kind(v), kind(t.values[key]), written[key])
	}
	return v, ok
}

// written says how keys are written whose type people get wrong.
var written = map[string]string{
	"ends":                  ": write it without quotes, ends = 2027-12-31",
	"client_secret_expires": ": write it without quotes, client_secret_expires = 2027-12-31",
	"min_tls":               `: write min_tls = "1.2"`,
	"socket_mode":           `: modes are in quotes, "0660"`,
	"local_users":           `: write local_users = ["1001"]`,
	"networks":              `: write networks = ["192.0.2.0/24"]`,
	"proxy_protocol":        `: write proxy_protocol = ["192.0.2.7"]`,
}

// kind names the type of a value that toml has decoded.
func kind(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a number with a point"
	case bool:
		return "true or false"
	case time.Time:
		return "a date"
	case []any:
		return "an array"
	case []map[string]any:
		return "an array of tables"
	}
	return "a table"
}

// text reads a string that is not empty and of one line.
func (t *table) text(key, def string) string {
	s, ok := value[string](t, key)
	if !ok {
		return def
	}
	if err := oneLine(s); err != nil {
		t.fault(key, "%v", err)
		return def
	}
	t.noteDefault(key, s == def)
	return s
}

// noteDefault notes a key that is set to its default: Settings leaves it out.
func (t *table) noteDefault(key string, isDefault bool) {
	if isDefault {
		t.file.defaults = append(t.file.defaults, func() { delete(t.values, key) })
	}
}

// oneOf reads one of a few words.
func (t *table) oneOf(key, def string, words ...string) string {
	s, ok := value[string](t, key)
	if !ok {
		return def
	}
	if !slices.Contains(words, s) {
		t.fault(key, "%q is not one of %s%s", s, enumerate(words), suggest(key, s, words))
		return def
	}
	t.noteDefault(key, s == def)
	return s
}

// suggest guesses what was meant by a word that is none of words.
func suggest(key, s string, words []string) string {
	if key == "tls" && (s == "ssl" || s == "tls") {
		return `; for TLS from the first byte write "implicit"`
	}
	if near := text.Nearest(s, words); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	return ""
}

func (t *table) boolean(key string, def bool) bool {
	if b, ok := value[bool](t, key); ok {
		t.noteDefault(key, b == def)
		return b
	}
	return def
}

func (t *table) integer(key string, def, least, most int) int {
	n, ok := value[int64](t, key)
	switch {
	case !ok:
		return def
	case n < int64(least) || n > int64(most):
		t.fault(key, "%d is not between %d and %d", n, least, most)
		return def
	}
	t.noteDefault(key, int(n) == def)
	return int(n)
}

// texts reads an array of strings, which must not be empty.
func (t *table) texts(key string, def []string) []string {
	array, ok := value[[]any](t, key)
	if !ok {
		return def
	}
	if len(array) == 0 {
		t.fault(key, "must not be empty")
	}
	texts := make([]string, 0, len(array))
	for i, v := range array {
		line := t.place.key(key).item(i).at()
		s, ok := v.(string)
		if !ok {
			t.file.fault(line, "%s: each of them must be a string, not %s%s", key, kind(v), written[key])
		} else if err := oneLine(s); err != nil {
			t.file.fault(line, "%s: %v", key, err)
		}
		texts = append(texts, s)
	}
	return texts
}

// table returns the table at a key, which has no keys if it is absent.
func (t *table) table(key string) (sub *table, given bool) {
	values, given := value[map[string]any](t, key)
	return t.sub(key, values), given
}

func (t *table) sub(key string, values map[string]any) *table {
	path := append(slices.Clip(t.path), key)
	return &table{file: t.file, path: path, values: values, place: t.place.key(key)}
}

// tables returns the tables below a key, in the order of the file, but for
// those whose names are not fit to be shown.
func (t *table) tables(key string) []*table {
	parent, _ := t.table(key)
	var tables []*table
	for _, name := range slices.Sorted(maps.Keys(parent.values)) {
		if err := oneLine(name); err != nil {
			t.file.fault(parent.line(name), "[%s]: a name %v", toml.Key{key, name}, err)
		} else if sub, given := parent.table(name); given {
			tables = append(tables, sub)
		}
	}
	slices.SortStableFunc(tables, func(a, b *table) int { return cmp.Compare(a.place.at(), b.place.at()) })
	return tables
}

// tableList returns the tables of an array of tables.
func (t *table) tableList(key string) (tables []*table) {
	t.asked = append(t.asked, key)
	add := func(i int, v any) {
		values, ok := v.(map[string]any)
		if !ok {
			t.fault(key, "each of them must be a table, not %s", kind(v))
			return
		}
		sub := t.sub(key, values)
		sub.list = true
		sub.place = t.place.key(key).item(i)
		tables = append(tables, sub)
	}
	switch array := t.values[key].(type) {
	case nil:
	case []map[string]any:
		for i, v := range array {
			add(i, v)
		}
	case []any:
		for i, v := range array {
			add(i, v)
		}
	default:
		t.fault(key, "write it with two brackets, [[%s]], once for each", append(t.path, key))
	}
	return tables
}

// oneLine says why s is not fit to be a value or a name, without showing it.
func oneLine(s string) error {
	switch {
	case s == "":
		return errors.New("must not be empty")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("must not hold line breaks or other control characters")
	case strings.TrimSpace(s) != s:
		return errors.New("must not begin or end with a space")
	}
	return nil
}

// enumerate returns the words in quotes, with commas between them.
func enumerate(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(w)
	}
	return strings.Join(quoted, ", ")
}
