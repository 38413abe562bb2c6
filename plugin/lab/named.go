package lab

// namedScenario is a network that has a name of its own here, and what is usually carried over it.
type namedScenario struct {
	name, text     string
	network, flows string
}

// Times in the texts are round trips. Rates and delays are round figures of the kind of path that the name stands for, not measurements of one.
var named = []namedScenario{
	{"clean", "20 Mbit/s, 30 ms, no loss",
		"link --delay=15ms --bandwidth=20Mbps --queue=100", "--size=1MB"},
	{"lan", "1 Gbit/s, 1 ms, no loss",
		"link --delay=500us --bandwidth=1Gbps --queue=500", "--size=10MB"},
	{"loss-1", "10 Mbit/s, 100 ms, 1 % of all packets lost, each by itself",
		"link --delay=50ms --bandwidth=10Mbps --queue=100 --loss=1", "--size=50kB"},
	{"loss-5", "10 Mbit/s, 100 ms, 5 % of all packets lost, each by itself",
		"link --delay=50ms --bandwidth=10Mbps --queue=100 --loss=5", "--size=50kB"},
	{"burst", "10 Mbit/s, 100 ms, 2 % of all packets lost, in runs of 5",
		"link --delay=50ms --bandwidth=10Mbps --queue=100 --loss=2 --loss-run=5", "--size=50kB"},
	{"satellite", "20 Mbit/s down, 3 up, 600 ms, 0.5 % lost",
		"link --delay=300ms --bandwidth_to_client=20Mbps --bandwidth_to_server=3Mbps --queue=1000 --loss=0.5", "--size=1MB"},
	{"bufferbloat", "5 Mbit/s, 30 ms, and a queue that holds 2.4 s",
		"link --delay=15ms --bandwidth=5Mbps --queue=1000", "--size=5MB"},
	{"shallow", "50 Mbit/s, 40 ms, and a queue of 10 packets",
		"link --delay=20ms --bandwidth=50Mbps --queue=10", "--size=5MB"},
	{"lte", "30 Mbit/s down, 10 up, 50 ms with 20 ms of jitter, 0.1 % lost",
		"link --delay=25ms --jitter=20ms --bandwidth_to_client=30Mbps --bandwidth_to_server=10Mbps --queue=300 --loss=0.1", "--size=1MB"},
	{"wifi", "50 Mbit/s, 20 ms with 5 ms of jitter, 1 % lost in runs of 3, some overtaken",
		"link --delay=10ms --jitter=5ms --bandwidth=50Mbps --queue=200 --loss=1 --loss-run=3 --reorder=0.5 --reorder-by=3ms", "--size=1MB"},
	{"edge", "400 kbit/s, 300 ms, 2 % lost",
		"link --delay=150ms --bandwidth=400kbps --queue=30 --loss=2", "--size=50kB"},
	{"reorder", "10 Mbit/s, 50 ms, 3 % of all packets 10 ms late",
		"link --delay=25ms --bandwidth=10Mbps --queue=100 --reorder=3 --reorder-by=10ms", "--size=1MB"},
}

// Info describes a scenario that has a name.
type Info struct {
	Name, Text string
	Scenario   string // as ParseScenario reads it, without the name
}

// Named lists the scenarios that ParseScenario knows beyond those of netsim.
func Named() []Info {
	var list []Info
	for _, n := range named {
		list = append(list, Info{n.name, n.text, n.network + " " + n.flows})
	}
	return list
}

func names() []string {
	var list []string
	for _, n := range named {
		list = append(list, n.name)
	}
	return list
}
