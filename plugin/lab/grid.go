package lab

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// The ranges of the grid: those over which PQUIC's forward erasure correction was measured (SIGCOMM 2019), where the delay is taken as the
// round-trip time.
const (
	gridMinRate, gridMaxRate = 380_000, 9_950_000 // bit/s
	gridMinRTT, gridMaxRTT   = 100 * time.Millisecond, 400 * time.Millisecond
	gridMinLoss, gridMaxLoss = 0.01, 0.08 // of the packets in each direction

	// GridPoints is how many networks that measurement had.
	GridPoints = 139
	// gridQueue is the least that a queue holds, in packets; else it holds what the path does.
	gridQueue  = 20
	gridPacket = 1500 // bytes
)

// GridSizes are the transfers of that measurement, in bytes.
var GridSizes = []int64{1_000, 10_000, 50_000, 1_000_000}

// Grid returns n networks that fill the ranges of rate, round-trip time and loss evenly: 0.38 to 9.95 Mbit/s, 100 to 400 ms, 1 to 8 % lost in
// both directions, each packet by itself. It is a Latin hypercube, so every parameter takes n evenly spaced values, whose least distance
// between two points was made as large as exchanges of coordinates allow. Queues hold one bandwidth-delay product, 20 packets at least.
// The scenarios carry 50 kB; With changes that.
func Grid(seed uint64, n int) []*Scenario {
	var list []*Scenario
	for i, p := range spread(seed, max(n, 0)) {
		rate := int64(between(gridMinRate, gridMaxRate, p[0]))
		rtt := time.Duration(between(float64(gridMinRTT), float64(gridMaxRTT), p[1])).Round(time.Microsecond)
		loss := between(gridMinLoss, gridMaxLoss, p[2])
		queue := max(gridQueue, int(float64(rate)/8*rtt.Seconds()/gridPacket))
		s, err := ParseScenario(fmt.Sprintf("link --delay=%dus --bandwidth=%dbps --queue=%d --loss=%.3f --seed=%d",
			(rtt / 2).Microseconds(), rate, queue, 100*loss, 1+uint64(i)*maxRepeat))
		if err != nil {
			panic("BUG: lab: " + err.Error())
		}
		s.Name = fmt.Sprintf("grid-%03d", i+1)
		list = append(list, s)
	}
	return list
}

func between(lo, hi, x float64) float64 { return lo + (hi-lo)*x }

const dimensions = 3

type point [dimensions]float64

// spread returns n points of the unit cube, a Latin hypercube that was improved by exchanges.
func spread(seed uint64, n int) []point {
	random := rand.New(rand.NewPCG(seed, 0x6c6162))
	points := make([]point, n)
	for d := range dimensions {
		for i, j := range random.Perm(n) {
			points[i][d] = (float64(j) + 0.5) / float64(n)
		}
	}
	const rounds = 40 // exchanges tried for each point
	for range rounds * n {
		improve(random, points)
	}
	return points
}

// improve exchanges one coordinate of two points if that brings neither of them nearer to another point than the nearer of them was.
func improve(random *rand.Rand, points []point) {
	if len(points) < 2 {
		return
	}
	i, j, d := random.IntN(len(points)), random.IntN(len(points)), random.IntN(dimensions)
	if i == j {
		return
	}
	before := min(clearance(points, i), clearance(points, j))
	points[i][d], points[j][d] = points[j][d], points[i][d]
	if min(clearance(points, i), clearance(points, j)) < before {
		points[i][d], points[j][d] = points[j][d], points[i][d]
	}
}

// clearance returns the square of the distance from point i to its nearest neighbour.
func clearance(points []point, i int) float64 {
	least := math.Inf(1)
	for j := range points {
		if j == i {
			continue
		}
		sum := 0.0
		for d := range dimensions {
			sum += (points[i][d] - points[j][d]) * (points[i][d] - points[j][d])
		}
		least = min(least, sum)
	}
	return least
}
