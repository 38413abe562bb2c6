package lab_test

import (
	"fmt"

	"github.com/seed51309289/quiver/plugin/lab"
)

func ExampleParseAssertion() {
	_, err := lab.ParseAssertion("p95 < 400")
	fmt.Println(err)
	a, err := lab.ParseAssertion("goodput >= 0.9*plain")
	fmt.Println(a, a.NeedsPlain(), err)
	// Output:
	// assertion "p95 < 400", column 5: it compares a time and a number: does 400 lack its unit, as in 400ms?
	// goodput >= 0.9*plain true <nil>
}

func ExampleParseScenario() {
	s, err := lab.ParseScenario("loss-5 --rtt=200ms --size=10kB,1MB --repeat=20")
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(s.Name, s.RTT(), s.Loss(), len(s.Flows), s.Repeat)
	// Output: loss-5 200ms 0.05 2 20
}
