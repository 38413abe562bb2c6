package lab

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/seed51309289/quiver/internal/virtual"
	"github.com/seed51309289/quiver/netsim"
)

// Run carries a scenario out with one setup, on several processors at once if it repeats. It ends early when ctx does. A transfer that fails
// is no error of Run: Result tells of it.
func Run(ctx context.Context, s *Scenario, setup Setup) (*Result, error) {
	b, err := newBatch([]*Scenario{s}, []Setup{setup})
	if err != nil {
		return nil, err
	}
	if err := b.run(ctx, Options{}); err != nil {
		return nil, err
	}
	return b.results[0][0], nil
}

// once is one repetition: everything about it is a function of the scenario, the setup and the seed.
// A follower, if there is one, watches.
func once(ctx context.Context, s *Scenario, setup *Setup, seed uint64, f *follower) (Repetition, error) {
	rep := Repetition{Seed: seed}
	opts := virtual.Options{
		ToServer: s.Network.Link[netsim.Left], ToClient: s.Network.Link[netsim.Right], NAT: s.Network.NAT,
		Config: func(side netsim.Side, cfg *virtual.Config) {
			if name := setup.end(side).Congestion; name != "" {
				cfg.Congestion, _ = virtual.Congestion(name) // check knows that it is there
			}
			if f != nil {
				f.configure(side, cfg)
			}
		},
	}
	if f != nil {
		opts.Tap = f.datagram
	}
	pair := virtual.NewPair(seed, opts)
	defer pair.Close()
	if f != nil {
		f.watch(pair)
	}
	refused := attach(pair, setup)
	load, err := pair.Start(flows(s), s.Parallel)
	if err != nil {
		return rep, fmt.Errorf("lab: %w", err)
	}
	series := sampler{&rep, pair, load, s}
	if s.Sample > 0 {
		series.next()
	}
	pair.Run(s.Limit, func() bool {
		if f != nil {
			f.lookAll(load)
		}
		return load.Done() || ctx.Err() != nil || *refused != nil
	})
	if err := ctx.Err(); err != nil {
		return rep, err
	}
	if err := cmp.Or(*refused, pair.Err()); err != nil {
		return rep, fmt.Errorf("lab: scenario %s, setup %s: %w", s.Name, setup.Title(), err)
	}
	if s.Sample > 0 {
		series.take()
	}
	rep.fill(pair, load, s)
	return rep, nil
}

// attach has the extensions attached to each connection as soon as there is one. The error that it points to is the first refusal.
func attach(pair *virtual.Pair, setup *Setup) *error {
	var refused error
	for _, e := range []*virtual.Endpoint{pair.Client, pair.Server} {
		list := setup.end(e.Side).Extensions
		e.OnConn = func(c *virtual.Peer) {
			for i, x := range list {
				if err := extend(c, x); err != nil && refused == nil {
					refused = fmt.Errorf("%s: extension %d: %w", sideName(c.End.Side), i, err)
				}
			}
		}
	}
	return &refused
}

func extend(c *virtual.Peer, x Extension) error {
	do, err := x.New()
	if err != nil {
		return err
	}
	return c.Extend(do, x.Config)
}

func flows(s *Scenario) []virtual.Flow {
	list := make([]virtual.Flow, len(s.Flows))
	for i, f := range s.Flows {
		list[i] = virtual.Flow{Size: f.Size, Upload: f.Upload}
	}
	return list
}

// sampler writes the time series of a repetition.
type sampler struct {
	rep  *Repetition
	pair *virtual.Pair
	load *virtual.Load
	s    *Scenario
}

// maxSamples bounds a time series; a longer run is sampled no more.
const maxSamples = 100_000

// next takes a sample and makes the appointment for the following one.
func (p *sampler) next() {
	p.take()
	if len(p.rep.Series) < maxSamples && !p.load.Done() {
		p.pair.At(p.pair.Clock.Now().Add(p.s.Sample), p.next)
	}
}

// take takes a sample, once the sender knows of the connection.
func (p *sampler) take() {
	if sender := p.sender(); sender != nil {
		st := sender.Stats()
		x := Sample{At: p.pair.Clock.Since(), Window: st.CongestionWindow, InFlight: st.InFlight,
			Pacing: 8 * st.PacingRate, Lost: st.PacketsLost}
		if st.LatestRTT > 0 {
			x.RTT = st.SmoothedRTT
		}
		for i := range p.load.Transfers {
			x.Delivered += p.load.Transfers[i].Received
		}
		p.rep.Series = append(p.rep.Series, x)
	}
}

// sender returns the end whose congestion control is of interest: that of the first flow.
func (p *sampler) sender() *virtual.Peer {
	if len(p.s.Flows) > 0 && p.s.Flows[0].Upload {
		return p.load.Client
	}
	return p.load.Server
}

// fill takes down what a repetition came to.
func (r *Repetition) fill(pair *virtual.Pair, load *virtual.Load, s *Scenario) {
	r.Handshake = load.Established
	var end time.Duration
	began := time.Duration(-1)
	for i := range load.Transfers {
		t := &load.Transfers[i]
		f := FlowResult{Flow: s.Flows[i], Began: t.Began, Took: t.Took(), Err: t.Err}
		switch {
		case !t.Done:
			f.Err = fmt.Errorf("not done after %v: %d of %d bytes", s.Limit, t.Received, t.Size)
		case t.First > 0:
			f.First = t.First - t.Began
		}
		if f.Err != nil {
			f.Took = s.Limit
		} else {
			r.Delivered += t.Received
			end = max(end, t.Ended)
		}
		if began < 0 {
			began = t.Began
		}
		r.Flows = append(r.Flows, f)
	}
	r.Busy = max(end-began, 0)
	r.Network = pair.Sim.Stats()
	r.Client.fill(load.Client)
	if load.Server != nil {
		r.Server.fill(load.Server)
	}
}

func (e *EndResult) fill(c *virtual.Peer) {
	st := c.Stats()
	*e = EndResult{
		PacketsSent: st.PacketsSent, PacketsLost: st.PacketsLost, PacketsSpurious: st.PacketsSpurious,
		BytesSent: st.BytesSent, BytesResent: st.BytesResent, ProbeTimeouts: st.ProbeTimeouts,
		Extensions: c.ExtensionStats(nil),
	}
}
