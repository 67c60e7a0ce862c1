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

// A table is a table of the configuration file while it is read. Typed methods read each
// key once. They return the default if the key is absent or invalid, and report faults
// to the file, so that reading continues. reportUnknown then reports the keys that no
// method read.
type table struct {
	file   *file
	path   toml.Key // empty for the top level
	list   bool     // an element of an array of tables
	values map[string]any
	pos    *position
	seen   []string
}

// header returns the table's header as written in the file.
func (t *table) header() string {
	if t.list {
		return "[[" + t.path.String() + "]]"
	}
	return "[" + t.path.String() + "]"
}

// name returns the last part of the table's header.
func (t *table) name() string { return t.path[len(t.path)-1] }

// fault reports a fault of the value of key.
func (t *table) fault(key, format string, args ...any) {
	t.file.fault(t.line(key), "%s: %s", key, fmt.Sprintf(format, args...))
}

// externalFault reports a fault of something that key names, such as a file or a user.
func (t *table) externalFault(key, format string, args ...any) {
	t.file.externalFault(t.line(key), "%s: %s", key, fmt.Sprintf(format, args...))
}

func (t *table) line(key string) int { return t.pos.key(key).line() }

func (t *table) has(key string) bool {
	_, ok := t.values[key]
	return ok
}

// require reports key if it is missing. hint says how to set it.
func (t *table) require(key, hint string) {
	if !t.has(key) {
		t.file.fault(t.pos.line(), "%s has no %s: %s", t.header(), key, hint)
	}
}

// reportUnknown reports the keys that no method has read.
func (t *table) reportUnknown() {
	where := "in " + t.header()
	if len(t.path) == 0 {
		where = "at the top level"
	}
	for _, key := range slices.Sorted(maps.Keys(t.values)) {
		if !slices.Contains(t.seen, key) {
			t.file.fault(t.line(key), "unknown key %q %s%s", key, where, t.suggest(key))
		}
	}
}

// suggest returns a hint for an unknown key: the most similar known key, or all of them.
func (t *table) suggest(key string) string {
	if near := text.Nearest(key, t.seen); near != "" {
		return fmt.Sprintf("; did you mean %q?", near)
	}
	_, isTable := t.values[key].(map[string]any)
	switch {
	case key == "state_directory":
		return "; write it above the first [table]"
	case isTable && len(t.path) == 2:
		return fmt.Sprintf(`; write a name with a dot in quotes: [%s."%s.%s"]`, t.path[0], t.path[1], key)
	}
	return "; the known keys are " + enumerate(slices.Sorted(slices.Values(t.seen)))
}

// value returns the value of key if it is present and of type T.
func value[T any](t *table, key string) (v T, ok bool) {
	t.seen = append(t.seen, key)
	if !t.has(key) {
		return v, false
	}
	if v, ok = t.values[key].(T); !ok {
		t.fault(key, "must be %s, not %s%s", typeName(v), typeName(t.values[key]), syntaxHint[key])
	}
	return v, ok
}

// syntaxHint shows the syntax of keys whose type is often wrong.
var syntaxHint = map[string]string{
	"ends":                  ": write it without quotes, ends = 2027-12-31",
	"client_secret_expires": ": write it without quotes, client_secret_expires = 2027-12-31",
	"min_tls":               `: write min_tls = "1.2"`,
	"socket_mode":           `: write socket_mode = "0660"`,
	"local_users":           `: write local_users = ["1001"]`,
	"networks":              `: write networks = ["192.0.2.0/24"]`,
	"proxy_protocol":        `: write proxy_protocol = ["192.0.2.7"]`,
}

// typeName returns the name of the TOML type of a decoded value.
func typeName(v any) string {
	switch v.(type) {
	case string:
		return "a string"
	case int64:
		return "an integer"
	case float64:
		return "a floating-point number"
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

// text reads a string that is one line and not empty.
func (t *table) text(key, def string) string {
	s, ok := value[string](t, key)
	if !ok {
		return def
	}
	if err := checkLine(s); err != nil {
		t.fault(key, "%v", err)
		return def
	}
	t.noteDefault(key, s == def)
	return s
}

// noteDefault records a key that is set to its default. Settings omits it.
func (t *table) noteDefault(key string, isDefault bool) {
	if isDefault {
		t.file.defaults = append(t.file.defaults, func() { delete(t.values, key) })
	}
}

// oneOf reads a string that must be one of words.
func oneOf[T ~string](t *table, key string, def T, words ...T) T {
	s, ok := value[string](t, key)
	if !ok {
		return def
	}
	if !slices.Contains(words, T(s)) {
		t.fault(key, "%q is not one of %s%s", s, enumerate(words), suggestWord(key, s, words))
		return def
	}
	t.noteDefault(key, T(s) == def)
	return T(s)
}

// suggestWord returns a hint for a value s that is not one of words, or "".
func suggestWord[T ~string](key, s string, words []T) string {
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

func (t *table) integer(key string, def, lowest, highest int) int {
	n, ok := value[int64](t, key)
	switch {
	case !ok:
		return def
	case n < int64(lowest) || n > int64(highest):
		t.fault(key, "%d is not between %d and %d", n, lowest, highest)
		return def
	}
	t.noteDefault(key, int(n) == def)
	return int(n)
}

// texts reads an array of strings that is not empty.
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
		line := t.pos.key(key).item(i).line()
		s, ok := v.(string)
		if !ok {
			t.file.fault(line, "%s: each element must be a string, not %s%s", key, typeName(v), syntaxHint[key])
		} else if err := checkLine(s); err != nil {
			t.file.fault(line, "%s: %v", key, err)
		}
		texts = append(texts, s)
	}
	return texts
}

// table returns the table at key. It has no keys if key is absent.
func (t *table) table(key string) (sub *table, found bool) {
	values, found := value[map[string]any](t, key)
	return t.sub(key, values), found
}

func (t *table) sub(key string, values map[string]any) *table {
	path := append(slices.Clip(t.path), key)
	return &table{file: t.file, path: path, values: values, pos: t.pos.key(key)}
}

// tables returns the tables below key, in the order of the file. It reports and omits
// tables whose names are not one printable line.
func (t *table) tables(key string) []*table {
	parent, _ := t.table(key)
	var tables []*table
	for _, name := range slices.Sorted(maps.Keys(parent.values)) {
		if err := checkLine(name); err != nil {
			t.file.fault(parent.line(name), "[%s]: the name %v", toml.Key{key, name}, err)
		} else if sub, found := parent.table(name); found {
			tables = append(tables, sub)
		}
	}
	slices.SortStableFunc(tables, func(a, b *table) int { return cmp.Compare(a.pos.line(), b.pos.line()) })
	return tables
}

// tableList returns the elements of the array of tables at key.
func (t *table) tableList(key string) (tables []*table) {
	t.seen = append(t.seen, key)
	add := func(i int, v any) {
		values, ok := v.(map[string]any)
		if !ok {
			t.fault(key, "each element must be a table, not %s", typeName(v))
			return
		}
		sub := t.sub(key, values)
		sub.list = true
		sub.pos = t.pos.key(key).item(i)
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
		t.fault(key, "write [[%s]] with two brackets, once for each element", append(t.path, key))
	}
	return tables
}

// checkLine returns an error, without s, if s is not fit to be a value or a name.
func checkLine(s string) error {
	switch {
	case s == "":
		return errors.New("must not be empty")
	case strings.ContainsFunc(s, unicode.IsControl):
		return errors.New("must not contain line breaks or other control characters")
	case strings.TrimSpace(s) != s:
		return errors.New("must not begin or end with a space")
	}
	return nil
}

// enumerate returns the quoted words, separated by commas.
func enumerate[T ~string](words []T) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = strconv.Quote(string(w))
	}
	return strings.Join(quoted, ", ")
}
