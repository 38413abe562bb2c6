package pack

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// A ConfigField is one setting of a plugin. The plugin sees all its settings as an array of 64-bit integers, little-endian, in the
// order of the manifest: so no plugin parses text, and the host checks what a peer sends before the plugin sees it.
type ConfigField struct {
	Name        string
	Kind        ConfigKind
	Min, Max    int64    // of an integer
	Choices     []string // of a choice; the plugin sees the index
	Default     int64    // as the plugin sees it
	Unit        string
	Description string
}

// ConfigKind is what a setting can be.
type ConfigKind uint8

// The kinds of settings.
const (
	Integer ConfigKind = iota + 1
	Bool               // 0 or 1
	Choice             // an index
)

var configKinds = []string{"int", "bool", "choice"}

// String returns the name that manifests use.
func (k ConfigKind) String() string {
	if k >= Integer && k <= Choice {
		return configKinds[k-1]
	}
	return fmt.Sprintf("kind %d", uint8(k))
}

// span returns the least and the largest value.
func (f *ConfigField) span() (lo, hi int64) {
	switch f.Kind {
	case Integer:
		return f.Min, f.Max
	case Bool:
		return 0, 1
	}
	return 0, int64(len(f.Choices)) - 1
}

// parse reads a setting as a person writes it.
func (f *ConfigField) parse(s string) (int64, error) {
	switch f.Kind {
	case Bool:
		switch s {
		case "true", "1":
			return 1, nil
		case "false", "0":
			return 0, nil
		}
		return 0, fmt.Errorf("%q, want true or false", clip(s))
	case Choice:
		if i := slices.Index(f.Choices, s); i >= 0 {
			return int64(i), nil
		}
		return 0, fmt.Errorf("%q, want one of %s", clip(s), strings.Join(f.Choices, ", "))
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < f.Min || n > f.Max {
		return 0, fmt.Errorf("%q, want an integer from %d to %d", clip(s), f.Min, f.Max)
	}
	return n, nil
}

// Configure returns the bytes that the plugin is given: the defaults of m, and what settings say instead, by name. The error is an [*Error].
func (m *Manifest) Configure(settings map[string]string) ([]byte, error) {
	names := make([]string, len(m.Config))
	for i := range m.Config {
		names[i] = m.Config[i].Name
	}
	for _, name := range sortedKeys(settings) {
		if !slices.Contains(names, name) {
			return nil, refuse("", "config."+clip(name), "%s has no such setting%s", m.ID, didYouMean(name, names))
		}
	}
	out := make([]byte, 0, 8*len(m.Config))
	for i := range m.Config {
		f := &m.Config[i]
		n := f.Default
		if s, ok := settings[f.Name]; ok {
			var err error
			if n, err = f.parse(s); err != nil {
				return nil, refuse("", "config."+f.Name, "%v", err)
			}
		}
		out = binary.LittleEndian.AppendUint64(out, uint64(n))
	}
	return out, nil
}

// CheckConfig refuses configuration bytes, as from a peer, that [Manifest.Configure] would not make. The error is an [*Error].
func (m *Manifest) CheckConfig(config []byte) error {
	if len(config) != 8*len(m.Config) {
		return refuse("", "config", "has %d bytes, want %d: 8 for each of %d settings", len(config), 8*len(m.Config), len(m.Config))
	}
	for i := range m.Config {
		f := &m.Config[i]
		lo, hi := f.span()
		if n := int64(binary.LittleEndian.Uint64(config[8*i:])); n < lo || n > hi {
			return refuse("", "config."+f.Name, "%d, want an integer from %d to %d", n, lo, hi)
		}
	}
	return nil
}
