package netsim

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// A Scenario describes the network of one run. It is never changed after it was made; any number of Sims may
// share one.
type Scenario struct {
	Name string
	Link [2]LinkConfig // by the side that sends: Link[Left] is the way from client to server
	NAT  NAT
	text string
}

// NAT describes the address translator in front of the client; its zero value translates nothing.
type NAT struct {
	First time.Duration // of the first rebinding, from the start of the scenario; 0 = no translator
	Every time.Duration // between further rebindings; 0 = only one
	Addr  bool          // rebind to another address, too, not only to other ports
}

// NewScenario makes a scenario from two link descriptions, for tests: toServer is the way from left to
// right, toClient the way back.
func NewScenario(toServer, toClient LinkConfig) *Scenario {
	return &Scenario{Name: "custom", Link: [2]LinkConfig{Left: toServer, Right: toClient}}
}

// String returns the text that ParseScenario was given, or a description that it does not read for a
// scenario made in Go.
func (s *Scenario) String() string {
	if s.text != "" {
		return s.text
	}
	return fmt.Sprintf("%s to_server=%+v to_client=%+v nat=%+v", s.Name, s.Link[Left], s.Link[Right], s.NAT)
}

// ScenarioError says what is wrong with the text of a scenario and what exists instead.
type ScenarioError struct {
	Text    string   // as given
	Problem string   // subject, got, want
	Known   []string // what exists: scenarios, or parameters of this scenario
}

func (e *ScenarioError) Error() string {
	return fmt.Sprintf("scenario %q: %s; there are: %s", e.Text, e.Problem, strings.Join(e.Known, ", "))
}

// ScenarioInfo describes one scenario to a user.
type ScenarioInfo struct {
	Name       string
	Usage      string // "drop-rate --delay=TIME …", optional parameters in brackets
	Text       string // one line
	Parameters []ParameterInfo
}

// ParameterInfo describes one parameter of a scenario.
type ParameterInfo struct {
	Name, Unit string // "delay", "TIME"; the unit is empty for a flag
	Mandatory  bool
	Text       string
}

// Scenarios lists the scenarios that ParseScenario knows, sorted by name.
func Scenarios() []ScenarioInfo {
	var list []ScenarioInfo
	for _, name := range scenarioNames() {
		k := kinds[name]
		info := ScenarioInfo{Name: name, Usage: name, Text: k.text}
		for _, p := range k.params {
			info.Parameters = append(info.Parameters, ParameterInfo{p.name, p.unit, p.must, p.text})
			info.Usage += " " + p.usage()
		}
		list = append(list, info)
	}
	return list
}

// ParseScenario reads "simple-p2p --delay=15ms --bandwidth=10Mbps --queue=25" and the like: a name of Scenarios
// and its parameters. The error is a *ScenarioError.
func ParseScenario(text string) (*Scenario, error) {
	words := strings.Fields(text)
	if len(words) == 0 {
		return nil, &ScenarioError{text, "no scenario named", scenarioNames()}
	}
	k, ok := kinds[words[0]]
	if !ok {
		return nil, &ScenarioError{text, fmt.Sprintf("unknown scenario %q", words[0]), scenarioNames()}
	}
	s := &Scenario{Name: words[0], text: text}
	seen := make(map[string]bool)
	for _, word := range words[1:] {
		p, err := k.set(s, word)
		if err != nil {
			return nil, &ScenarioError{text, err.Error(), k.usages()}
		}
		seen[p.name] = true
	}
	for _, p := range k.params {
		if p.must && !seen[p.name] {
			return nil, &ScenarioError{text, "parameter --" + p.name + " is missing", k.usages()}
		}
	}
	if k.finish != nil {
		k.finish(s)
	}
	return s, nil
}

func scenarioNames() []string { return slices.Sorted(maps.Keys(kinds)) }

// set applies one word of the command line ("--delay=15ms") to s.
func (k *kind) set(s *Scenario, word string) (*param, error) {
	name, value, hasValue := strings.Cut(strings.TrimPrefix(word, "--"), "=")
	i := slices.IndexFunc(k.params, func(p param) bool { return p.name == name })
	if i < 0 || !strings.HasPrefix(word, "--") {
		return nil, fmt.Errorf("unknown parameter %q", word)
	}
	p := &k.params[i]
	if !hasValue && p.unit != "" {
		return nil, fmt.Errorf("parameter %s has no value, want %s", word, p.usage())
	}
	if err := p.set(s, value); err != nil {
		return nil, fmt.Errorf("parameter --%s: got %q, want %w", name, value, err)
	}
	return p, nil
}

func (k *kind) usages() []string {
	var list []string
	for _, p := range k.params {
		list = append(list, p.usage())
	}
	return list
}

func (p *param) usage() string {
	u := "--" + p.name
	if p.unit != "" {
		u += "=" + p.unit
	}
	if !p.must {
		u = "[" + u + "]"
	}
	return u
}
