package postgres

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// Promise: what an address sets is kept, and what it leaves out is set as for every connection.
func TestDefaultsOfAnAddress(t *testing.T) {
	t.Parallel()
	params := map[string]string{"plan_cache_mode": "AUTO", "options": "-c jit=off"}
	SetDefaults(params)
	require.Equal(t, map[string]string{
		"plan_cache_mode": "AUTO", "options": "-c jit=off", "random_page_cost": "1.1", "synchronous_commit": "on",
	}, params)
	params = map[string]string{"synchronous_commit": "remote_apply"}
	SetDefaults(params)
	require.Equal(t, "remote_apply", params["synchronous_commit"])
	require.Equal(t, "force_generic_plan", params["plan_cache_mode"])
}
