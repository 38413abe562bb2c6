package pack

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// decoder takes a JSON tree apart and keeps the first refusal.
type decoder struct {
	file string
	err  *Error
}

func (d *decoder) fail(field, rule string, args ...any) {
	if d.err == nil {
		d.err = refuse(d.file, field, rule, args...)
	}
}

// object is one JSON object on its way into a struct: each field is asked for by name, and close refuses those that nobody
// asked for.
type object struct {
	d      *decoder
	path   string // "" for the outermost
	fields map[string]any
	asked  []string
}

// object takes v, found at path, as an object.
func (d *decoder) object(path string, v any) *object {
	fields, ok := v.(map[string]any)
	if !ok {
		d.fail(path, "want an object, got %s", kindOf(v))
	}
	return &object{d: d, path: path, fields: fields}
}

// at returns the path of a field.
func (o *object) at(name string) string {
	if o.path == "" {
		return name
	}
	return o.path + "." + name
}

func (o *object) take(name string) (any, bool) {
	o.asked = append(o.asked, name)
	v, ok := o.fields[name]
	return v, ok
}

// close refuses the fields that were not asked for, and of several names the first.
func (o *object) close() {
	var strange []string
	for name := range o.fields {
		if !slices.Contains(o.asked, name) {
			strange = append(strange, name)
		}
	}
	if len(strange) > 0 {
		name := slices.Min(strange)
		o.d.fail(o.at(clip(name)), "no such field%s", didYouMean(name, o.asked))
	}
}

// must refuses an object without the field.
func (o *object) must(name string) {
	if _, ok := o.fields[name]; !ok {
		o.d.fail(o.at(name), "is missing")
	}
}

// text returns a string of at most limit bytes that can be shown on a terminal; "" when the field is not there.
func (o *object) text(name string, limit int) string {
	v, ok := o.take(name)
	if !ok {
		return ""
	}
	return o.d.text(o.at(name), v, limit)
}

func (d *decoder) text(path string, v any, limit int) string {
	s, ok := v.(string)
	switch {
	case !ok:
		d.fail(path, "want a string, got %s", kindOf(v))
	case len(s) > limit:
		d.fail(path, "has %d bytes, at most %d are allowed", len(s), limit)
	case strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }):
		d.fail(path, "%q has characters that cannot be shown", s)
	default:
		return s
	}
	return ""
}

// number returns an integer from lo to hi; 0 when the field is not there.
func (o *object) number(name string, lo, hi int64) int64 {
	v, ok := o.take(name)
	if !ok {
		return 0
	}
	n, ok := v.(int64)
	switch {
	case !ok:
		o.d.fail(o.at(name), "want an integer, got %s", kindOf(v))
	case n < lo || n > hi:
		o.d.fail(o.at(name), "%d, want an integer from %d to %d", n, lo, hi)
	default:
		return n
	}
	return 0
}

// flag returns a truth value; false when the field is not there.
func (o *object) flag(name string) bool {
	v, ok := o.take(name)
	if !ok {
		return false
	}
	b, ok := v.(bool)
	if !ok {
		o.d.fail(o.at(name), "want true or false, got %s", kindOf(v))
	}
	return b
}

// each calls do with the elements of a list of at most limit, and their paths. Without the field there are none.
func (o *object) each(name string, limit int, do func(path string, v any)) {
	v, ok := o.take(name)
	if !ok {
		return
	}
	list, ok := v.([]any)
	switch {
	case !ok:
		o.d.fail(o.at(name), "want a list, got %s", kindOf(v))
	case len(list) > limit:
		o.d.fail(o.at(name), "has %d elements, at most %d are allowed", len(list), limit)
	default:
		for i, e := range list {
			do(fmt.Sprintf("%s[%d]", o.at(name), i), e)
		}
	}
}

// inner returns the object of a field; ok is false when it is not there.
func (o *object) inner(name string) (in *object, ok bool) {
	v, ok := o.take(name)
	if !ok {
		return nil, false
	}
	return o.d.object(o.at(name), v), true
}

// word returns the value that a string stands for. what names the kind, as in "hook"; 0 and no refusal when the field is not there.
func word[T any](o *object, name, what string, parse func(string) (T, bool), all []string) (t T) {
	v, ok := o.take(name)
	if !ok {
		return t
	}
	return wordAt(o.d, o.at(name), what, v, parse, all)
}

func wordAt[T any](d *decoder, path, what string, v any, parse func(string) (T, bool), all []string) (t T) {
	s, ok := v.(string)
	if !ok {
		d.fail(path, "want a string, got %s", kindOf(v))
		return t
	}
	t, ok = parse(s)
	if !ok {
		hint := didYouMean(s, all)
		if hint == "" && len(all) > 0 && len(all) <= 10 {
			hint = ", want one of " + strings.Join(all, ", ")
		}
		d.fail(path, "%q is no %s%s", clip(s), what, hint)
	}
	return t
}

// kindOf names the kind of a JSON value for people.
func kindOf(v any) string {
	switch v.(type) {
	case map[string]any:
		return "an object"
	case []any:
		return "a list"
	case string:
		return "a string"
	case bool:
		return "true or false"
	}
	return "an integer"
}

// clip shortens what somebody else wrote before it stands in a sentence.
func clip(s string) string {
	const most = 48
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
