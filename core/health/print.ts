const whole = new Intl.NumberFormat("en-US", { maximumFractionDigits: 0 });
const fine = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 3 });

/** `17,100`; `0.043`; `3.2e+12` for what nobody reads digit by digit. */
export function printNumber(value: number): string {
	if (!Number.isFinite(value)) return value > 0 ? "∞" : String(value);
	// Most are counts, and Intl takes a microsecond.
	if (Number.isInteger(value) && Math.abs(value) < 1_000) return String(value);
	if (Math.abs(value) >= 1e9) return value.toExponential(1);
	return Math.abs(value) >= 1_000 || Number.isInteger(value) ? whole.format(value) : fine.format(value);
}

export function printPercent(fraction: number): string {
	return `${fine.format(fraction * 100)} %`;
}
