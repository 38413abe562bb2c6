package wasm

import "slices"

// Customs returns the custom sections of b in their order. The name of each stands at the start of its payload; Payload skips it.
func Customs(b []byte) ([]Section, error) {
	secs, err := sections(b)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(secs, func(s Section) bool { return s.ID != SectionCustom }), nil
}

// Payload returns the content of a section of b, without the name of a custom one. It is part of b.
func (s Section) Payload(b []byte) []byte {
	r := reader{b: b, pos: s.Start, end: s.End}
	if s.ID == SectionCustom {
		r.name()
	}
	return b[r.pos:s.End:s.End]
}

// Custom returns the payload of the custom section with that name, as part of b, and false if there is none. Two of one name are refused: a
// reader that takes the first and one that takes the last would see different modules. b may have any size; only the borders of sections are
// looked at. The error is an *Error.
func Custom(b []byte, name string) (payload []byte, ok bool, err error) {
	secs, err := Customs(b)
	if err != nil {
		return nil, false, err
	}
	for _, s := range secs {
		if s.Name != name {
			continue
		}
		if ok {
			return nil, false, malformed(s.Offset, "custom", "%q stands twice", name)
		}
		payload, ok = s.Payload(b), true
	}
	return payload, ok, nil
}

// WithCustom returns a copy of b whose custom section of that name has that payload: the one there is, in its place, or a new one at the end.
// All other bytes are as they were. The error is an *Error: b is no module, or it holds two of that name.
func WithCustom(b []byte, name string, payload []byte) ([]byte, error) {
	if _, _, err := Custom(b, name); err != nil {
		return nil, err
	}
	secs, err := Customs(b)
	if err != nil {
		return nil, err
	}
	from, to := len(b), len(b)
	for _, s := range secs {
		if s.Name == name {
			from, to = s.Offset, s.End
		}
	}
	if from == to {
		if all, _ := sections(b); len(all) == maxSections {
			return nil, malformed(len(b), "custom", "%q would be one more than %d sections", name, maxSections)
		}
	}
	out := slices.Grow([]byte(nil), len(b)+len(name)+len(payload)+16)
	out = append(out, b[:from]...)
	content := append(appendU32(nil, uint32(len(name))), name...)
	out = append(out, SectionCustom)
	out = appendU32(out, uint32(len(content)+len(payload)))
	out = append(append(out, content...), payload...)
	return append(out, b[to:]...), nil
}

// WithoutCustom returns a copy of b without all custom sections of those names. All other bytes are as they were. The error is an *Error: b is
// no module.
func WithoutCustom(b []byte, names ...string) ([]byte, error) {
	secs, err := Customs(b)
	if err != nil {
		return nil, err
	}
	out := make([]byte, 0, len(b))
	kept := 0 // bytes of b that out has taken or left out
	for _, s := range secs {
		if slices.Contains(names, s.Name) {
			out = append(out, b[kept:s.Offset]...)
			kept = s.End
		}
	}
	return append(out, b[kept:]...), nil
}

// WithoutCustoms returns a copy of b without any custom section. All other bytes are as they were. The error is an *Error: b is no module.
func WithoutCustoms(b []byte) ([]byte, error) {
	secs, err := sections(b)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, len(b)), header...)
	for _, s := range secs {
		if s.ID != SectionCustom {
			out = append(out, b[s.Offset:s.End]...)
		}
	}
	return out, nil
}
