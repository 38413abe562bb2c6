// Probe puts questions to the socket API and prints the answers, so that what
// stands in for the kernel's TCP can be held against TCP itself:
//
//	probe serve ADDR                        the counterpart: obeys the scripts that connections bring
//	probe ask [HOST:PORT [[HOST6]:PORT]]    one line for each question: "name: answer"
//	probe list                              the questions, and what each is about
//	probe compare --want FILE < answers     answers of this program, or of the one in C, against a golden file
//
// Each question is asked in a process of its own, which is ended when it takes
// too long: the answer is then "hangs". What may differ without meaning, such
// as ports, times and addresses of the set-up, is not in the answers; three runs
// give the same text. The calls are made raw, so that the kernel answers and not
// the net package of Go, but for the questions named go-*, which are about it.
//
// The directory c has the same questions, by the same names, in C, and more that
// only C can ask. The golden files in testdata were made under plain TCP, over
// loopback and over a veth pair; permitted.txt says which answers may differ
// when sockets are stood in for, and why.
//
// # Limitations
//
// Linux only. The golden files are made in network namespaces without a default
// route: on a host that has one, the questions connect-unrouted-* hang or say
// something else, and interfaces-* name other interfaces.
package main

import (
	"os"
)

func main() { os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr)) }
