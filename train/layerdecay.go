package train

import (
	"math"

	"garb/nn"
)

// rateFactors returns by how much the learning rate of each parameter of the backbone is
// multiplied, by the parameter's name: LayerDecay^depth. The depth of the backbone's last
// layer with a kernel is 1, that of the one before is 2, and so on; parameters without a
// kernel of their own, as a batch-norm's, have the depth of the layer before them. The
// head's, which are not in it, keep the rate.
func (c Config) rateFactors(features *nn.Graph) map[string]float64 {
	factors := map[string]float64{}
	if c.LayerDecay == 0 {
		return factors
	}
	position, last := map[string]int{}, -1
	kernelLayer := ""
	for _, p := range features.Params() {
		if layer := layerOf(p); len(p.Shape) > 1 && layer != kernelLayer {
			last, kernelLayer = last+1, layer
		}
		position[p.Name] = max(last, 0)
	}
	for name, at := range position {
		factors[name] = math.Pow(c.LayerDecay, float64(last-at+1))
	}
	return factors
}

// decayRates gives the variables in training their share of the learning rate.
func (r *run) decayRates() {
	spec := r.Config.Preprocessing
	factors := r.Config.rateFactors(r.architecture.Features(spec.Height, spec.Width))
	for _, v := range r.variables {
		v.RateFactor = factors[v.Name]
	}
}
