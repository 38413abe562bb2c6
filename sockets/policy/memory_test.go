package policy

import (
	"net/netip"
	"testing"
	"time"
)

var epoch = time.Unix(1_000_000, 0)

func wantOutcome(t *testing.T, m *Memory, peer netip.AddrPort, now time.Time, want Outcome) {
	t.Helper()
	if got := m.Outcome(peer, now); got != want {
		t.Errorf("Outcome(%v) after %v = %v, want %v", peer, now.Sub(epoch), got, want)
	}
}

func TestMemoryHoldsAnOutcomeForItsTime(t *testing.T) {
	var m Memory
	a, b := at("10.0.0.1:8277"), at("10.0.0.1:8278")
	wantOutcome(t, &m, a, epoch, Unknown)
	m.Learn(a, QUICFails, epoch, time.Minute)
	m.Learn(b, QUICWorks, epoch, time.Hour)
	wantOutcome(t, &m, a, epoch.Add(time.Minute-1), QUICFails)
	wantOutcome(t, &m, a, epoch.Add(time.Minute), Unknown)
	wantOutcome(t, &m, b, epoch.Add(time.Minute), QUICWorks)
	if m.Len() != 1 {
		t.Errorf("%d outcomes held, want the one whose time is not over", m.Len())
	}
	m.Learn(b, QUICFails, epoch.Add(time.Minute), time.Hour)
	wantOutcome(t, &m, b, epoch.Add(time.Hour), QUICFails)
	m.Learn(b, Unknown, epoch, time.Hour)
	wantOutcome(t, &m, b, epoch, Unknown)
	m.Learn(b, QUICWorks, epoch, 0)
	if wantOutcome(t, &m, b, epoch, Unknown); m.Len() != 0 {
		t.Errorf("%d outcomes held, want none", m.Len())
	}
}

func TestMemoryForgetsTheOldestWhenFull(t *testing.T) {
	var m Memory
	peer := func(i int) netip.AddrPort {
		return netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), 8277)
	}
	for i := range maxRemembered {
		m.Learn(peer(i), QUICWorks, epoch, time.Hour)
	}
	m.Learn(peer(0), QUICFails, epoch, time.Hour) // young again
	m.Learn(peer(maxRemembered), QUICWorks, epoch, time.Hour)
	if m.Len() != maxRemembered {
		t.Errorf("%d outcomes held, want %d", m.Len(), maxRemembered)
	}
	wantOutcome(t, &m, peer(0), epoch, QUICFails)
	wantOutcome(t, &m, peer(1), epoch, Unknown)
	wantOutcome(t, &m, peer(2), epoch, QUICWorks)
	wantOutcome(t, &m, peer(maxRemembered), epoch, QUICWorks)
}

func TestRaceGivesQUICItsHeadStartOnlyWhereItIsUnknown(t *testing.T) {
	auto := Decision{Via: Auto, HeadStart: DefaultHeadStart}
	for _, tc := range []struct {
		d     Decision
		known Outcome
		want  Race
	}{
		{auto, Unknown, Race{QUIC: true, TCP: true, TCPAfter: DefaultHeadStart}},
		{auto, QUICWorks, Race{QUIC: true, TCP: true, TCPAfter: -1}},
		{auto, QUICFails, Race{TCP: true}},
		{Decision{Via: QUIC}, QUICFails, Race{QUIC: true}},
		{Decision{Via: TCP}, QUICWorks, Race{TCP: true}},
		{Decision{Via: Refuse}, QUICWorks, Race{}},
	} {
		if got := tc.d.Race(tc.known); got != tc.want {
			t.Errorf("%v, %v known: %+v, want %+v", tc.d.Via, tc.known, got, tc.want)
		}
	}
}
