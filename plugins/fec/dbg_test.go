package fec_test

import (
	"fmt"
	"testing"

	"github.com/seed51309289/quiver/internal/virtual"
)

func TestDbg(t *testing.T) {
	x := transfer{net: lossy(0.04), flows: []virtual.Flow{{Size: 50000}}, module: load(t)}
	for seed := uint64(11); seed < 12; seed++ {
		e := x.run(t, seed)
		fmt.Println(seed, e.load.Transfers[0].Took(), e.server.PacketsLost, e.ext[0].Recovered, e.ext[1].Delivered, e.ext[0].Metrics, e.ext[1].Metrics)
	}
}
