package train

import (
	"math"

	"garb/nn"
)

// rateFactors returns the factor of the learning rate of each parameter of the backbone, by the
// parameter's name: LayerDecay^depth. The backbone's last layer with a kernel has depth 1, the one
// before it depth 2, and so on. The parameters of layers without a kernel, such as batch-norms, have
// the depth of the kernel before them. The head's parameters keep the full rate.
func (c Config) rateFactors(features *nn.Graph) map[string]float64 {
	factors := map[string]float64{}
	if c.LayerDecay == 0 {
		return factors
	}
	index, last := map[string]int{}, -1
	kernelLayer := ""
	for _, p := range features.Params() {
		if layer := layerName(p); len(p.Shape) > 1 && layer != kernelLayer {
			last, kernelLayer = last+1, layer
		}
		index[p.Name] = max(last, 0)
	}
	for name, i := range index {
		factors[name] = math.Pow(c.LayerDecay, float64(last-i+1))
	}
	return factors
}

// decayRates sets the factor of the learning rate of each variable.
func (r *run) decayRates() {
	spec := r.Config.Preprocessing
	factors := r.Config.rateFactors(r.architecture.Features(spec.Height, spec.Width))
	for _, v := range r.variables {
		v.RateFactor = factors[v.Name]
	}
}
