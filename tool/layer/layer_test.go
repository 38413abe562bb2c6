package main

import (
	"strings"
	"testing"
)

func TestRatesAreReadFromTheBench(t *testing.T) {
	rates, err := bareRates([]byte(`{"runs":[{"stack":"quiver","n":1000000,"seconds":0.004},{"stack":"quic-go","n":1000000,"seconds":0.008}]}`))
	if err != nil || rates["quiver"] != 2000 || rates["quic-go"] != 1000 {
		t.Errorf("rates %v, %v", rates, err)
	}
	for _, bad := range []string{"", "{}", `{"runs":[{"stack":"x","n":1}]}`} {
		if _, err := bareRates([]byte(bad)); err == nil {
			t.Errorf("rates of %q", bad)
		}
	}
}

func TestFieldsAreReadFromReports(t *testing.T) {
	if got, err := field("a\nRequests per second:    2770.46 [#/sec] (mean)\n", "Requests per second:"); err != nil || got != 2770.46 {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{"", "Requests per second:"} {
		if _, err := field(text, "Requests per second:"); err == nil {
			t.Errorf("a number in %q", text)
		}
	}
}

func TestTheTableHasMedians(t *testing.T) {
	b := &bench{figures: map[string][]float64{}}
	for _, v := range []float64{3, 1, 2} {
		b.note("x", v)
	}
	var out strings.Builder
	b.table(&out)
	if !strings.Contains(out.String(), "2   1 to 3\n") {
		t.Errorf("table:\n%s", &out)
	}
}
