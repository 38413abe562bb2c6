package check

import (
	"slices"
	"strings"
)

// testCase is what a run has to show.
type testCase struct {
	needKeys bool // without a key log the result is unsupported
	measure  bool // the verdict carries the goodput
	criteria []criterion
}

// A criterion is one thing that must hold.
type criterion struct {
	name string // what it is about, as the start of a sentence
	want string // what it expects, as the end of one
	// check looks at a run. It is called once per run.
	check func(r *run) finding
}

// Criteria that several tests share.
var (
	fetched     = []criterion{oneHandshake, versionOne, filesArrived}
	shaken      = []criterion{versionOne, filesArrived, noRetry, oneHandshake}
	rebound     = and(fetched, severalPaths, challengedAtOnce, challengesAnswered)
	inVersion2  = []criterion{startsInV1, answersInV2, clientInV2, serverInV2, filesArrived}
	fetchedMany = []criterion{handshakes(manyConnections), versionOne, filesArrived}
)

// manyConnections is how many files, each over a connection of its own, the
// tests with a broken handshake have.
const manyConnections = 50

// cases are the criteria of each test, in the order in which the first broken
// one names the reason. They are those of the public interop matrix; the tests
// after versionnegotiation it does not have.
var cases = map[string]testCase{
	"handshake":           {criteria: shaken},
	"transfer":            {criteria: fetched},
	"longrtt":             {criteria: and(fetched, helloRepeated)},
	"chacha20":            {criteria: []criterion{oneHandshake, chachaOffered, versionOne, filesArrived}},
	"multiplexing":        {needKeys: true, criteria: and(fetched, streamLimit)},
	"retry":               {criteria: and(fetched, retrySent, retryTokenUsed)},
	"resumption":          {needKeys: true, criteria: []criterion{twoHandshakes, certificateOnce, versionOne, filesArrived}},
	"zerortt":             {criteria: []criterion{twoHandshakes, versionOne, filesArrived, earlyRequests}},
	"http3":               {criteria: fetched},
	"blackhole":           {criteria: fetched},
	"keyupdate":           {needKeys: true, criteria: and(fetched, clientUpdates, serverUpdates)},
	"ecn":                 {needKeys: true, criteria: and(shaken, clientMarks, serverMarks, clientCounts, serverCounts)},
	"amplificationlimit":  {needKeys: true, criteria: and(fetched, longChain, staysInLimit)},
	"handshakeloss":       {criteria: fetchedMany},
	"transferloss":        {criteria: fetched},
	"handshakecorruption": {criteria: fetchedMany},
	"transfercorruption":  {criteria: fetched},
	"ipv6":                {criteria: and(fetched, onlyIPv6)},
	"v2":                  {criteria: inVersion2},
	"rebind-port":         {needKeys: true, criteria: rebound},
	"rebind-addr":         {needKeys: true, criteria: and(fetched, severalAddresses, challengedAtOnce, challengesAnswered)},
	"connectionmigration": {needKeys: true, criteria: and(rebound, freshIDs)},
	"goodput":             {measure: true, criteria: fetched},
	"crosstraffic":        {measure: true, criteria: fetched},
	"versionnegotiation":  {criteria: []criterion{versionRefused}},

	"v2-keyupdate":     {needKeys: true, criteria: and(inVersion2, clientUpdates, serverUpdates)},
	"keyupdate-server": {needKeys: true, criteria: and(fetched, serverUpdatesFirst, clientUpdates, serverUpdates)},
	"mtu-blackhole":    {criteria: and(fetched, largePackets, sizesAdapt)},
	"stateless-reset":  {needKeys: true, criteria: []criterion{twoHandshakes, versionOne, filesArrived, resetSent, resetHeeded, resetNoticed}},
	"reordering":       {needKeys: true, criteria: and(fetched, fewRepeats)},
	"plugin-exchange":  {needKeys: true, criteria: and(fetched, pluginOffered, pluginWanted, pluginSent, pluginReady, pluginUsed, pluginStays)},
}

// and returns a new list of what is in list and then more.
func and(list []criterion, more ...criterion) []criterion {
	return append(slices.Clip(slices.Clone(list)), more...)
}

func knownTests() string {
	var names []string
	for name := range cases {
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}
