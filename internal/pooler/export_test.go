package pooler

// CheckParameters is checkParameters, for the tests.
var CheckParameters = checkParameters
