package check

import (
	"slices"
	"strings"
)

// testCase is what a run has to show.
type testCase struct {
	needKeys bool // without a key log the result is unsupported
	criteria []criterion
}

// A criterion is one thing that must hold.
type criterion struct {
	name string // what it is about, as the start of a sentence
	want string // what it expects, as the end of one
	// check looks at a run. It is called once per run.
	check func(r *run) finding
}

// cases are the criteria of each test, in the order in which the first broken
// one names the reason. They are those of the public interop matrix.
var cases = map[string]testCase{
	"handshake":    {criteria: []criterion{versionOne, filesArrived, noRetry, oneHandshake}},
	"transfer":     {criteria: []criterion{oneHandshake, versionOne, filesArrived}},
	"longrtt":      {criteria: []criterion{oneHandshake, versionOne, filesArrived, helloRepeated}},
	"chacha20":     {criteria: []criterion{oneHandshake, chachaOffered, versionOne, filesArrived}},
	"multiplexing": {needKeys: true, criteria: []criterion{oneHandshake, versionOne, filesArrived, streamLimit}},
	"retry":        {criteria: []criterion{oneHandshake, versionOne, filesArrived, retrySent, retryTokenUsed}},
	"ipv6":         {criteria: []criterion{oneHandshake, versionOne, filesArrived, onlyIPv6}},
}

func knownTests() string {
	var names []string
	for name := range cases {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
