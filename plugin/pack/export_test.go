package pack

// The limits, for the tests that fill them.
const (
	MaxManifest     = maxManifest
	MaxHooks        = maxHooks
	MaxAppOps       = maxAppOps
	MaxConfig       = maxConfig
	MaxChoices      = maxChoices
	MaxNeighbours   = maxNeighbours
	MaxDepth        = maxDepth
	MaxSource       = maxSource
	MaxSignatures   = maxSignatures
	MaxFormula      = maxFormula
	MaxFormulaDepth = maxFormulaDepth
	MaxRatio        = maxRatio
	MaxTrustFile    = maxTrustFile
	MaxKeys         = maxKeys
	MaxGlobs        = maxGlobs
	MaxPins         = maxPins
	MaxValidators   = maxValidators
	MaxRequire      = maxRequire
)
