package lab

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/seed51309289/quiver/netsim"
)

// Scenario is a network and what is carried over it. Its zero value is not ready: ParseScenario, Named and Grid make
// scenarios.
type Scenario struct {
	Name    string
	Network *netsim.Scenario // never changed: scenarios share it

	Flows    []Flow
	Parallel bool // all flows at once, else one after the other

	Repeat int           // how often, each time with a seed of its own
	Seed   uint64        // of the first repetition
	Sample time.Duration // between the points of the time series; 0 = none are kept
	Limit  time.Duration // of virtual time, for one repetition
}

// Flow is one transfer on a stream of its own.
type Flow struct {
	Size   int64 // bytes
	Upload bool  // from the client to the server
}

const (
	defaultSize  = 50_000
	defaultLimit = 10 * time.Minute

	maxRepeat = 100_000
	maxFlows  = 10_000
	maxSize   = 1 << 32
	minSample = time.Millisecond
	maxTime   = 24 * time.Hour
)

// Rate returns the bandwidth towards the client in bit/s, 0 = not limited.
func (s *Scenario) Rate() int64 { return s.Network.Link[netsim.Right].Bandwidth }

// RTT returns the round-trip time of an empty path, without serialisation.
func (s *Scenario) RTT() time.Duration {
	return s.Network.Link[netsim.Left].Delay + s.Network.Link[netsim.Right].Delay
}

// Loss returns the share of packets towards the client that is lost by chance.
func (s *Scenario) Loss() float64 { return s.Network.Link[netsim.Right].Loss }

// Bytes returns the sum of all flows.
func (s *Scenario) Bytes() (sum int64) {
	for _, f := range s.Flows {
		sum += f.Size
	}
	return sum
}

// String returns the scenario as ParseScenario reads it.
func (s *Scenario) String() string {
	var b strings.Builder
	b.WriteString(s.Network.String())
	var sizes []string
	ups := 0
	for _, f := range s.Flows {
		sizes = append(sizes, fmt.Sprint(f.Size))
		if f.Upload {
			ups++
		}
	}
	fmt.Fprintf(&b, " --size=%s", strings.Join(sizes, ","))
	if ups == len(s.Flows) {
		b.WriteString(" --upload")
	} else if ups > 0 {
		b.WriteString(" --both")
	}
	if s.Parallel {
		b.WriteString(" --parallel")
	}
	fmt.Fprintf(&b, " --repeat=%d --seed=%d --limit=%s", s.Repeat, s.Seed, seconds(s.Limit))
	if s.Sample > 0 {
		fmt.Fprintf(&b, " --sample=%s", seconds(s.Sample))
	}
	return b.String()
}

// seconds writes a time as parseDuration reads it.
func seconds(d time.Duration) string {
	return strconv.FormatFloat(d.Seconds(), 'f', -1, 64) + "s"
}

// ScenarioError says what is wrong with the text of a scenario, and what exists instead.
type ScenarioError struct {
	Text    string // as given
	Problem string // subject, got, want
	Known   []string
	err     error
}

func (e *ScenarioError) Error() string {
	return fmt.Sprintf("scenario %q: %s; there are: %s", e.Text, e.Problem, strings.Join(e.Known, ", "))
}

// Unwrap returns the *netsim.ScenarioError if the network is what is wrong.
func (e *ScenarioError) Unwrap() error { return e.err }

// option is a parameter of a scenario that is not the network's.
type option struct {
	name, unit, text string
	set              func(s *draft, value string) error
}

// draft is a Scenario while its text is read.
type draft struct {
	Scenario
	sizes          []int64
	times          int
	upload, both   bool
	networkOptions []string
}

var options = []option{
	{"size", "BYTES,…", "a flow of this size for each, one after the other (50kB)", func(d *draft, v string) error { return parseSizes(v, &d.sizes) }},
	{"times", "COUNT", "the flows so many times (1)", func(d *draft, v string) error { return parseWhole(v, 1, maxFlows, &d.times) }},
	{"upload", "", "from client to server", func(d *draft, v string) error { return parseFlag(v, &d.upload) }},
	{"both", "", "every other flow from client to server", func(d *draft, v string) error { return parseFlag(v, &d.both) }},
	{"parallel", "", "all flows at once", func(d *draft, v string) error { return parseFlag(v, &d.Parallel) }},
	{"repeat", "COUNT", "how often, each time with the next seed (1)", func(d *draft, v string) error { return parseWhole(v, 1, maxRepeat, &d.Repeat) }},
	{"seed", "NUMBER", "first seed (1)", func(d *draft, v string) error { return parseSeed(v, &d.Seed) }},
	{"sample", "TIME", "between the points of the time series (none)", func(d *draft, v string) error { return parseDuration(v, minSample, &d.Sample) }},
	{"limit", "TIME", "virtual time of one repetition (10m)", func(d *draft, v string) error { return parseDuration(v, minSample, &d.Limit) }},
	{"rtt", "TIME", "round-trip time: half of it each way", setRTT},
}

func setRTT(d *draft, v string) error {
	var rtt time.Duration
	if err := parseDuration(v, 0, &rtt); err != nil {
		return err
	}
	d.networkOptions = append(d.networkOptions, fmt.Sprintf("--delay=%dns", (rtt/2).Nanoseconds()))
	return nil
}

// Parameters describes the parameters that every scenario takes besides those of its network: "--size=BYTES" and a line of text.
func Parameters() [][2]string {
	var list [][2]string
	for _, o := range options {
		list = append(list, [2]string{o.usage(), o.text})
	}
	return list
}

func (o *option) usage() string {
	if o.unit == "" {
		return "--" + o.name
	}
	return "--" + o.name + "=" + o.unit
}

// ParseScenario reads "loss-5 --size=10kB,50kB --repeat=20 --seed=7": the name of a scenario of Named, or of one of netsim, and parameters.
// Those of the network change what the name stands for; a scenario of Named takes those of netsim's "link". The error is a *ScenarioError.
func ParseScenario(text string) (*Scenario, error) {
	fail := func(err error, known []string) (*Scenario, error) {
		return nil, &ScenarioError{Text: text, Problem: err.Error(), Known: known, err: errors.Unwrap(err)}
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return fail(errors.New("no scenario named"), names())
	}
	d := &draft{times: 1}
	d.Repeat, d.Seed, d.Limit = 1, 1, defaultLimit
	network := words[0]
	if i := slices.IndexFunc(named, func(n namedScenario) bool { return n.name == words[0] }); i >= 0 {
		d.Name, words = named[i].name, slices.Concat([]string{words[0]}, strings.Fields(named[i].flows), words[1:])
		network = named[i].network
	}
	for _, word := range words[1:] {
		if err := d.take(word); err != nil {
			return fail(err, usages())
		}
	}
	net, err := netsim.ParseScenario(strings.Join(append([]string{network}, d.networkOptions...), " "))
	if err != nil {
		return nil, networkError(text, network, err)
	}
	d.Network = net
	if d.Name == "" {
		d.Name = net.Name
	}
	if err := d.finish(); err != nil {
		return fail(err, usages())
	}
	return &d.Scenario, nil
}

// networkError makes what netsim says about its part of the text one about the whole.
func networkError(text, network string, err error) error {
	e := &ScenarioError{Text: text, Problem: err.Error(), err: err}
	var bad *netsim.ScenarioError
	if errors.As(err, &bad) {
		e.Problem = bad.Problem
		e.Known = append(usages(), bad.Known...)
		if strings.HasPrefix(bad.Problem, "unknown scenario") {
			e.Known = append(names(), bad.Known...)
		}
	}
	return e
}

// take applies one word, or leaves it to the network.
func (d *draft) take(word string) error {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(word, "--"), "=")
	i := slices.IndexFunc(options, func(o option) bool { return o.name == name })
	if i < 0 || !strings.HasPrefix(word, "--") {
		d.networkOptions = append(d.networkOptions, word)
		return nil
	}
	o := &options[i]
	if !hasValue && o.unit != "" {
		return fmt.Errorf("parameter %s has no value, want %s", word, o.usage())
	}
	if err := o.set(d, value); err != nil {
		return fmt.Errorf("parameter --%s: got %q, want %w", name, value, err)
	}
	return nil
}

// finish makes the flows.
func (d *draft) finish() error {
	if d.sizes == nil {
		d.sizes = []int64{defaultSize}
	}
	if n := len(d.sizes) * d.times; n > maxFlows {
		return fmt.Errorf("%d flows, want at most %d", n, maxFlows)
	}
	for range d.times {
		for _, size := range d.sizes {
			up := d.upload || d.both && len(d.Flows)%2 == 1
			d.Flows = append(d.Flows, Flow{Size: size, Upload: up})
		}
	}
	return nil
}

func usages() []string {
	var list []string
	for i := range options {
		list = append(list, options[i].usage())
	}
	return list
}

// With returns a copy of the scenario that carries one flow of size bytes to the client.
func (s *Scenario) With(size int64) *Scenario {
	c := *s
	c.Flows = []Flow{{Size: size}}
	return &c
}
