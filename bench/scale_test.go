package main

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Promise: the same seed leads to the same result, and another seed to another one.
func TestScaleIsRepeatable(t *testing.T) {
	t.Parallel()
	sites := newScaleSites(4, scaleCores, regionInstitutions)
	first := simulateRate(sites, 100, 500, 1)
	require.Equal(t, first, simulateRate(sites, 100, 500, 1))
	require.NotEqual(t, first, simulateRate(sites, 100, 500, 2))
	require.InDelta(t, 100, first.rate, 10)
}

// Promise: clients who never pause get what the processors can do: of one PostgreSQL, of a
// coordinator that plans everything, and of a machine that is shared by all.
func TestScaleIsLimitedByProcessors(t *testing.T) {
	t.Parallel()
	rate := func(sites *scaleSites) float64 { return simulateClients(sites, 100).rate }
	require.InEpsilon(t, scaleCores*1000/scalePlain, rate(newScaleSites(0, scaleCores, 1)), 0.1)

	direct := newScaleSites(8, scaleCores, countryInstitutions)
	direct.Direct = true
	require.InEpsilon(t, scaleCores*1000/(scalePlan+scaleCentralDirect), rate(direct), 0.1)

	shared := newScaleSites(1, scaleCores, 1)
	shared.Together, shared.Share = true, 0.5
	all := scaleService + scalePlan + scaleExecute + scaleCommit + scaleCentral
	require.InEpsilon(t, scaleCores*1000/all*0.5, rate(shared), 0.1)
}

// Promise: with one booking at a time nothing waits for a processor, and no two tasks of a booking
// run at once but those of prepare and commit.
func TestScaleAlone(t *testing.T) {
	t.Parallel()
	run := simulateClients(newScaleSites(0, scaleCores, 1), 1)
	require.InEpsilon(t, 1000/(scalePlainService+scalePlain+2*scaleNetwork+scaleFlush), run.rate, 0.05)
	require.Greater(t, run.p99, run.p50)
}
