//go:build race

package netsim

const raceDetector = true // makes everything several times slower
