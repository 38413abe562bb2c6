package wat

import (
	"fmt"
	"strings"
)

// valueType is a type of values, as its byte in the binary.
type valueType byte

var valueTypes = map[string]valueType{
	"i32": 0x7F, "i64": 0x7E, "f32": 0x7D, "f64": 0x7C, "v128": 0x7B, "funcref": 0x70, "externref": 0x6F,
}

const wantValueType = "a type: i32, i64, f32, f64, v128, funcref or externref"

const funcref, externref valueType = 0x70, 0x6F

// signature is what a function or block takes and returns.
type signature struct {
	params, results []valueType // bounded by maxValues
}

func (s signature) key() string { return string(toBytes(s.params)) + ">" + string(toBytes(s.results)) }

func toBytes(types []valueType) []byte {
	b := make([]byte, len(types))
	for i, t := range types {
		b[i] = byte(t)
	}
	return b
}

func (t valueType) String() string {
	for name, v := range valueTypes {
		if v == t {
			return name
		}
	}
	return fmt.Sprintf("0x%02X", byte(t))
}

// String writes a signature as the text format does.
func (s signature) String() string {
	var parts []string
	for _, p := range []struct {
		head  string
		types []valueType
	}{{"param", s.params}, {"result", s.results}} {
		if len(p.types) == 0 {
			continue
		}
		words := []string{p.head}
		for _, t := range p.types {
			words = append(words, t.String())
		}
		parts = append(parts, "("+strings.Join(words, " ")+")")
	}
	if parts == nil {
		return "no parameters and results"
	}
	return strings.Join(parts, " ")
}

// typeSpace is the index space of types. Those that the source defines come
// first; those that it implies follow in the order in which they are needed.
type typeSpace struct {
	space
	signatures []signature       // bounded by maxFields and maxSource
	byKey      map[string]uint32 // the first of each; bounded as signatures is
}

// define gives s the next number, for which list has a place already.
func (t *typeSpace) define(s signature) uint32 {
	index := uint32(len(t.signatures))
	if _, known := t.byKey[s.key()]; !known {
		if t.byKey == nil {
			t.byKey = map[string]uint32{}
		}
		t.byKey[s.key()] = index
	}
	t.signatures = append(t.signatures, s)
	return index
}

// find returns the first type with this signature, which it adds if there is none.
func (t *typeSpace) find(s signature) uint32 {
	if index, known := t.byKey[s.key()]; known {
		return index
	}
	t.list = append(t.list, "")
	return t.define(s)
}

// typeUse is how a function, block or call says its type: (type $t), or
// parameters and results, or both.
type typeUse struct {
	signature
	index  uint32 // if hasIndex
	has    bool   // a (type …)
	names  []string
	tokens []int // of the names, for errors; both as long as params or empty
}

// typeUse consumes the lists type, param and result, which may all be absent.
func (c *cursor) typeUse() typeUse {
	var u typeUse
	start := c.at
	if in, ok := c.list("type"); ok {
		u.index, u.has = in.index(&c.a.types.space), true
		in.finish(`")"`)
		c.sink(&in)
	}
	c.params(&u)
	c.results(&u.signature)
	if c.bad {
		return u
	}
	if c.head() == "param" {
		c.unexpected("parameters before results")
		return u
	}
	if u.has {
		c.checkTypeUse(start, &u)
	}
	return u
}

// checkTypeUse compares what the use says twice, and completes it.
func (c *cursor) checkTypeUse(start int, u *typeUse) {
	defined := c.a.types.signatures[u.index]
	if len(u.params)+len(u.results) > 0 && u.key() != defined.key() {
		e := c.failAt(start, Mismatch, fmt.Sprintf("type %d is %s, but here is %s", u.index, defined, u.signature))
		e.Hint = "leave out one of the two"
		return
	}
	u.signature = defined
}

// sink makes c fail where in, a list of it, has failed.
func (c *cursor) sink(in *cursor) {
	if in.bad {
		c.bad, c.failed, c.at = true, in.failed, c.end
	}
}

func (c *cursor) params(u *typeUse) {
	for {
		in, ok := c.list("param")
		if !ok {
			return
		}
		token := in.at
		name := in.name()
		before := len(u.params)
		if name != "" {
			in.addValueType(&u.params)
			in.finish(`")"`).Hint = "a name goes with one type"
		} else {
			in.valueTypes(&u.params)
		}
		for range len(u.params) - before {
			u.names, u.tokens = append(u.names, name), append(u.tokens, token)
		}
		c.sink(&in)
	}
}

func (c *cursor) results(s *signature) {
	for {
		in, ok := c.list("result")
		if !ok {
			return
		}
		in.valueTypes(&s.results)
		c.sink(&in)
	}
}

// valueTypes consumes types to the end of the list.
func (c *cursor) valueTypes(list *[]valueType) {
	for !c.done() {
		c.addValueType(list)
	}
}

func (c *cursor) addValueType(list *[]valueType) {
	if len(*list) == maxValues {
		c.fail(Limit, "too many values in one type").Want = fmt.Sprintf("at most %d", maxValues)
		return
	}
	*list = append(*list, c.valueType())
}

func (c *cursor) valueType() valueType {
	if c.is(keyword) {
		if t, ok := valueTypes[c.a.text(c.at)]; ok {
			c.at++
			return t
		}
	}
	c.unexpected(wantValueType)
	return 0
}

// reference consumes funcref or externref.
func (c *cursor) reference() valueType {
	if c.isWord("funcref") || c.isWord("externref") {
		return valueTypes[c.take()]
	}
	c.unexpected("funcref or externref")
	return funcref
}
