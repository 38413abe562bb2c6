package interop

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

//go:embed implementations_quic.json
var builtinRegistry []byte

// maxRegistryBytes bounds one registry file; the public one has 4 KiB.
const maxRegistryBytes = 1 << 20

// Roles of an implementation, and of one program.
const (
	RoleClient = "client"
	RoleServer = "server"
	RoleBoth   = "both"
)

// An Implementation is one entry of a registry: who it is, which roles it plays and how to start it.
type Implementation struct {
	Name  string `json:"-"`
	Image string `json:"image"`          // Docker image reference; unused by the backends that run programs
	URL   string `json:"url"`            // home page, shown on the matrix
	Role  string `json:"role"`           // RoleClient, RoleServer or RoleBoth
	Exec  *Exec  `json:"exec,omitempty"` // programs to run without a container; nil when there are none
	// Speaks are the application protocols, besides that of the test, that it offers or accepts in every test; nil means
	// ProtocolHQ, and h3 in http3.
	Speaks []string `json:"speaks,omitempty"`
}

// Application protocols of the tests.
const (
	ProtocolHQ = "hq-interop"
	ProtocolH3 = "h3"
)

// speaks returns what the implementation speaks in a test.
func (i *Implementation) speaks(test string) []string {
	switch {
	case test == "http3":
		return []string{ProtocolH3}
	case len(i.Speaks) == 0:
		return []string{ProtocolHQ}
	}
	return i.Speaks
}

// strangers says why two implementations cannot talk in a test: they share no application protocol. It is "" when they do.
func strangers(client, server *Implementation, test string) string {
	for _, p := range client.speaks(test) {
		if slices.Contains(server.speaks(test), p) {
			return ""
		}
	}
	return fmt.Sprintf("no common application protocol in this test: %s speaks %s, %s speaks %s", client.Name,
		strings.Join(client.speaks(test), " and "), server.Name, strings.Join(server.speaks(test), " and "))
}

// Plays reports whether the implementation takes role, which is RoleClient or RoleServer.
func (i *Implementation) Plays(role string) bool { return i.Role == role || i.Role == RoleBoth }

// A Registry is an ordered list of implementations. The order is that of the matrix.
type Registry struct {
	list []*Implementation
}

// DefaultRegistry returns the registry that is built into the program. Every call makes a fresh copy.
func DefaultRegistry() *Registry {
	r := new(Registry)
	if err := r.Overlay("built-in registry", builtinRegistry); err != nil {
		panic("BUG: " + err.Error())
	}
	return r
}

// Load lays each of files over r in order.
func (r *Registry) Load(files []string) error {
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("registry: %w", err)
		}
		if err := r.Overlay(name, data); err != nil {
			return err
		}
	}
	return nil
}

// Overlay lays the registry file in data over r: a known name keeps its place and gets the members that the file has, a
// new name is appended. A file of the existing interop runner is a valid overlay; it has images only. name is for errors.
func (r *Registry) Overlay(name string, data []byte) error {
	if len(data) > maxRegistryBytes {
		return fmt.Errorf("registry %s: %d bytes, at most %d are read", name, len(data), maxRegistryBytes)
	}
	entries, err := orderedObject(data)
	if err != nil {
		return fmt.Errorf("registry %s: %w", name, err)
	}
	for _, e := range entries {
		if err := r.overlayEntry(e.key, e.value); err != nil {
			return fmt.Errorf("registry %s: %s: %w", name, e.key, err)
		}
	}
	return nil
}

func (r *Registry) overlayEntry(name string, value json.RawMessage) error {
	if err := checkName(name); err != nil {
		return err
	}
	impl := r.Lookup(name)
	known := impl != nil
	if !known {
		impl = &Implementation{Name: name}
	}
	next := *impl
	next.Exec = nil // a new "exec" replaces the old one whole: half of each would start neither program
	if err := json.Unmarshal(value, &next); err != nil {
		return describeJSONError(err)
	}
	if next.Exec == nil {
		next.Exec = impl.Exec
	}
	if err := next.check(); err != nil {
		return err
	}
	*impl = next
	if !known {
		r.list = append(r.list, impl)
	}
	return nil
}

// check says what is missing or wrong in the entry.
func (i *Implementation) check() error {
	switch i.Role {
	case RoleClient, RoleServer, RoleBoth:
	case "":
		return errors.New(`no "role", want "client", "server" or "both"`)
	default:
		return fmt.Errorf(`role %q, want "client", "server" or "both"`, i.Role)
	}
	if i.Image == "" && i.Exec == nil {
		return errors.New(`neither "image" nor "exec", so there is nothing to run`)
	}
	if i.URL == "" && i.Exec == nil {
		return errors.New(`no "url"`)
	}
	return i.Exec.check()
}

// checkName refuses names that cannot stand in a path or in a comma list of the command line.
func checkName(name string) error {
	if name == "" {
		return errors.New("empty name")
	}
	if strings.ContainsAny(name, "/\\,= \t\n") || strings.HasPrefix(name, ".") {
		return errors.New("name has a slash, comma, equals sign, blank or leading dot; it becomes a directory name")
	}
	return nil
}

// Lookup returns the implementation called name, or nil.
func (r *Registry) Lookup(name string) *Implementation {
	for _, i := range r.list {
		if i.Name == name {
			return i
		}
	}
	return nil
}

// All returns the implementations in order. The slice is the caller's, the entries are shared.
func (r *Registry) All() []*Implementation { return slices.Clone(r.list) }

// Select returns the implementations called names that play role, in the order given; no names means all of that role in
// registry order. The error lists what exists.
func (r *Registry) Select(role string, names []string) ([]*Implementation, error) {
	var all []*Implementation
	for _, i := range r.list {
		if i.Plays(role) {
			all = append(all, i)
		}
	}
	if len(names) == 0 {
		return all, nil
	}
	var chosen []*Implementation
	for _, name := range names {
		n := slices.IndexFunc(all, func(i *Implementation) bool { return i.Name == name })
		if n < 0 {
			return nil, r.unknown(role, name, all)
		}
		if !slices.Contains(chosen, all[n]) {
			chosen = append(chosen, all[n])
		}
	}
	return chosen, nil
}

func (r *Registry) unknown(role, name string, all []*Implementation) error {
	var names []string
	for _, i := range all {
		names = append(names, i.Name)
	}
	exist := strings.Join(names, ", ")
	if r.Lookup(name) != nil {
		return fmt.Errorf("implementation %q is no %s; those that are: %s", name, role, exist)
	}
	return fmt.Errorf("unknown %s %q; registered are: %s", role, name, exist)
}

// Replace applies one or more replacements in the form of the -r option: name=IMAGE or name=exec:COMMAND, separated by
// commas. The command is cut into words at blanks (quotes hold words together) and serves both roles; it may use the
// placeholders of "run". A comma starts a new replacement only before NAME=.
func (r *Registry) Replace(spec string) error {
	for _, item := range splitReplacements(spec) {
		name, value, ok := strings.Cut(item, "=")
		if !ok || value == "" {
			return fmt.Errorf("replacement %q, want name=image or name=exec:command", item)
		}
		impl := r.Lookup(name)
		if impl == nil {
			return r.unknown("implementation", name, r.list)
		}
		if err := impl.replace(value); err != nil {
			return fmt.Errorf("replacement of %s: %w", name, err)
		}
	}
	return nil
}

func (i *Implementation) replace(value string) error {
	command, isExec := strings.CutPrefix(value, "exec:")
	if !isExec {
		i.Image, i.Exec = value, nil
		return nil
	}
	words, err := splitWords(command)
	if err != nil {
		return err
	}
	c := &Command{Run: words}
	i.Exec = &Exec{Client: c, Server: c, Loopback: &Exec{Client: c, Server: c}}
	return i.Exec.check()
}

func splitReplacements(spec string) []string {
	var items []string
	for part := range strings.SplitSeq(spec, ",") {
		name, _, ok := strings.Cut(part, "=")
		if len(items) > 0 && (!ok || checkName(name) != nil) {
			items[len(items)-1] += "," + part
			continue
		}
		items = append(items, part)
	}
	return items
}

// splitWords cuts a command line at blanks; single and double quotes hold a word together. There are no escapes.
func splitWords(s string) ([]string, error) {
	var words []string
	var word strings.Builder
	inWord := false
	quote := rune(0)
	for _, c := range s {
		switch {
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '\'' || c == '"'):
			quote, inWord = c, true
		case quote == 0 && (c == ' ' || c == '\t'):
			if inWord {
				words = append(words, word.String())
			}
			word.Reset()
			inWord = false
		default:
			word.WriteRune(c)
			inWord = true
		}
	}
	if quote != 0 {
		return nil, fmt.Errorf("command %q has an open quote", s)
	}
	if inWord {
		words = append(words, word.String())
	}
	return words, nil
}

type member struct {
	key   string
	value json.RawMessage
}

// orderedObject decodes one JSON object and keeps the order of its members, which a Go map would lose.
func orderedObject(data []byte) ([]member, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	t, err := d.Token()
	if err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	if t != json.Delim('{') {
		return nil, fmt.Errorf("begins with %v, want an object of implementations", t)
	}
	var list []member
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, fmt.Errorf("not JSON: %w", err)
		}
		var m member
		m.key = key.(string) // the decoder gives nothing else in this place
		if err := d.Decode(&m.value); err != nil {
			return nil, fmt.Errorf("%s: not JSON: %w", m.key, err)
		}
		list = append(list, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, fmt.Errorf("not JSON: %w", err)
	}
	return list, nil
}

// describeJSONError turns the decoder's type error into a sentence about the registry.
func describeJSONError(err error) error {
	if t, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return fmt.Errorf("%q is a %s, want a %s", t.Field, t.Value, t.Type.Kind())
	}
	return err
}
