import { type Answer, type Difference, REDACTED, isSecretName, sampled } from "../../core/gateway/compare";
import { type PathParts, below, endsHere, partsOfPath } from "../../core/gateway/jsonPaths";
import type { Comparison } from "../../core/gateway/packed";
import type { ComparedSample } from "../../core/wire";

const TOO_LARGE = "[too large]";
const INPUT_CHARACTERS = 500;
const TEXT_CHARACTERS = 2_000;
const VALUE_CHARACTERS = 500;
const PLACE_CHARACTERS = 200;
/** Control keeps no sample that is larger. */
const SAMPLE_BYTES_MAX = 16 * 1_024;

const encoder = new TextEncoder();
const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

export function decode(bytes: Uint8Array): string | undefined {
	try {
		return strict.decode(bytes);
	} catch {
		return undefined;
	}
}

/** What a sample keeps of a pair of answers. The query of a URL may hold secrets, so the path stands alone. */
export function sampleOf(
	input: { readonly method: string; readonly pathname: string },
	rules: Comparison,
	legacy: Answer,
	candidate: Answer | undefined,
	differences: readonly Difference[],
): ComparedSample {
	const redact = rules.redact.map(partsOfPath);
	return bounded({
		input: `${input.method} ${input.pathname}`,
		legacy: sampled(legacy.body, rules.redact, decode),
		candidate: sampled(candidate?.body ?? null, rules.redact, decode),
		differences: differences.map(({ at, legacy: ours, candidate: theirs }) =>
			isSecret(at, redact) ? { at, legacy: REDACTED, candidate: REDACTED } : { at, legacy: shortened(ours), candidate: shortened(theirs) },
		),
	});
}

/** A sample that is no larger than what is kept. */
export function bounded(sample: ComparedSample): ComparedSample {
	const input = sample.input.slice(0, INPUT_CHARACTERS);
	const differences = sample.differences.map((each) => ({ ...each, at: each.at.slice(0, PLACE_CHARACTERS) }));
	const few = differences.slice(0, 3);
	const [legacy, candidate] = [sample.legacy.slice(0, VALUE_CHARACTERS), sample.candidate.slice(0, VALUE_CHARACTERS)];
	const smaller: ComparedSample[] = [
		{ input, legacy: sample.legacy.slice(0, TEXT_CHARACTERS), candidate: sample.candidate.slice(0, TEXT_CHARACTERS), differences },
		{ input, legacy, candidate, differences: few },
	];
	const places = few.map(({ at }) => ({ at, legacy: TOO_LARGE, candidate: TOO_LARGE }));
	return smaller.find(fits) ?? { input, legacy: TOO_LARGE, candidate: TOO_LARGE, differences: places };
}

const fits = (sample: ComparedSample): boolean => encoder.encode(JSON.stringify(sample)).length <= SAMPLE_BYTES_MAX;

/** Whether a redacted value is what differs, a part of it, or holds it. */
function isSecret(at: string, redact: readonly PathParts[]): boolean {
	if (at.startsWith("header ")) return isSecretName(at.slice("header ".length));
	if (partsOfPath(at).some(isSecretName)) return true;
	if (redact.length === 0 || at === "status") return false;
	// Text of which nobody knows where what is redacted would be; or a name that no path can say.
	if (!/^\$(?:\.[A-Za-z0-9_-]+|\[\d+\])*$/.test(at)) return true;
	let left = redact;
	for (const part of partsOfPath(at)) {
		if (endsHere(left)) return true;
		left = below(left, part);
	}
	return left.length > 0;
}

function shortened(value: unknown): unknown {
	const text = JSON.stringify(value) ?? "";
	return text.length <= VALUE_CHARACTERS ? value : `${text.slice(0, VALUE_CHARACTERS)}…`;
}
