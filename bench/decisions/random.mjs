/**
 * Numbers in [0, 1) that are the same in every run (sfc32, Chris Doty-Humphrey, public domain). Its 2^128 states keep the
 * streams of many repetitions apart, which 32 bits would not.
 */
function stream(cell, repetition) {
	let [a, b, c, counter] = [cell | 0, repetition | 0, 0x9e3779b9 | 0, 1];
	const next = () => {
		const sum = (((a + b) | 0) + counter) | 0;
		counter = (counter + 1) | 0;
		a = b ^ (b >>> 9);
		b = (c + (c << 3)) | 0;
		c = (((c << 21) | (c >>> 11)) + sum) | 0;
		return (sum >>> 0) / 2 ** 32;
	};
	for (let i = 0; i < 15; i++) next();
	return next;
}

/** What a repetition draws from: its cell's seed and its own number decide all of it, whatever worker it runs in. */
export function drawing({ seed }, repetition) {
	const random = stream(seed, repetition);
	return { random, poisson: poissonOf(random) };
}

const INVERSION_MEAN_MAX = 10;

/** Draws Poisson counts, exact at every mean: by inversion where it is small, else by rejection (PTRS, Hörmann 1993). */
function poissonOf(random) {
	return (mean) => {
		if (mean < INVERSION_MEAN_MAX) return inverted(mean, random());
		const root = Math.sqrt(mean);
		const b = 0.931 + 2.53 * root;
		const a = -0.059 + 0.02483 * b;
		const inverseAlpha = 1.1239 + 1.1328 / (b - 3.4);
		const quick = 0.9277 - 3.6224 / (b - 2);
		for (;;) {
			const u = random() - 0.5;
			const v = random();
			const us = 0.5 - Math.abs(u);
			const k = Math.floor(((2 * a) / us + b) * u + mean + 0.43);
			if (us >= 0.07 && v <= quick) return k;
			if (k < 0 || (us < 0.013 && v > us)) continue;
			if (Math.log((v * inverseAlpha) / (a / (us * us) + b)) <= k * Math.log(mean) - mean - logFactorial(k)) return k;
		}
	};
}

function inverted(mean, u) {
	let probability = Math.exp(-mean);
	let below = probability;
	let k = 0;
	// Beyond 200 lies less than rounding leaves of a mean below ten.
	while (u >= below && k < 200) {
		probability *= mean / ++k;
		below += probability;
	}
	return k;
}

const TABLED = 256;
const logFactorials = new Float64Array(TABLED);
for (let k = 1; k < TABLED; k++) logFactorials[k] = logFactorials[k - 1] + Math.log(k);

function logFactorial(k) {
	if (k < TABLED) return logFactorials[k];
	return (k + 0.5) * Math.log(k) - k + 0.9189385332046728 + 1 / (12 * k) - 1 / (360 * k ** 3);
}

/** A standard normal (Box and Muller). */
export function normal(random) {
	return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
}
