import type { Compared, ComparedSample } from "../../core/wire";
import { log } from "../log";
import type { Sources } from "../sources";
import { within } from "../within";
import type { Gateway, Kept } from "./gateway";
import { inTurn } from "./turn";

/** What comparing has found, gathered by an isolate and sent behind the answers. Counters for people: what is lost is logged, and no evidence. */

const SAMPLES_MAX = 5;
const SUBJECTS_MAX = 200;
/** So many control takes at once. */
const BATCH_MAX = 50;
const RECORD_TIMEOUT_MS = 10_000;
/** Control that is given less time to answer would seldom do. */
const RECORD_MIN_MS = 1_000;

/** One request that was compared. */
export interface Comparing {
	readonly subject: string;
	readonly phase: string;
	readonly isDiscrepancy: boolean;
	readonly isError: boolean;
	/** Of both, or it counts for neither. */
	readonly latencies: { readonly legacyMs: number; readonly candidateMs: number } | undefined;
	/** Made only where one more is kept. */
	readonly sample: (() => ComparedSample) | undefined;
}

export async function gather(
	{
		gateway,
		sources,
	}: { readonly gateway: Pick<Gateway, "kept" | "comparisons" | "flushAfterMs">; readonly sources: Pick<Sources, "now" | "wait"> },
	environment: string,
	found: readonly Comparing[],
	endsMs?: number,
): Promise<void> {
	const { kept, comparisons } = gateway;
	if (!comparisons) return;
	for (const each of found) {
		const known = kept.compared.get(nameOf(environment, each))?.compared;
		if (known || kept.compared.size < SUBJECTS_MAX) add(kept, environment, once(each, (known?.samples.length ?? 0) < SAMPLES_MAX));
		else log("comparisons_lost", { environment, subject: each.subject });
	}
	await inTurn(kept.comparedTurn, { pauseMs: gateway.flushAfterMs, endsMs }, sources, async (untilMs) => {
		const all = [...kept.compared.values()];
		kept.compared = new Map();
		for (const [name, ofIt] of Map.groupBy(all, (each) => each.environment)) {
			for (let from = 0; from < ofIt.length; from += BATCH_MAX) {
				const batch = ofIt.slice(from, from + BATCH_MAX).map(({ compared }) => compared);
				const leftMs = untilMs - sources.now();
				if (leftMs < RECORD_MIN_MS) {
					for (const each of batch) add(kept, name, each);
					continue;
				}
				try {
					// oxlint-disable-next-line no-await-in-loop -- environments are few, and seldom two at once
					await within(Math.min(RECORD_TIMEOUT_MS, leftMs), comparisons.record(name, batch), sources.wait);
				} catch (error) {
					log("comparisons_lost", { environment: name, subjects: batch.length, error: String(error) });
				}
			}
		}
		return kept.compared.size > 0 && untilMs - sources.now() >= RECORD_MIN_MS;
	});
}

const nameOf = (environment: string, { subject, phase }: Pick<Compared, "subject" | "phase">): string =>
	`${environment}/${subject}/${phase}`;

/** Adds to what is known of the same. */
function add({ compared: all }: Kept, environment: string, more: Compared): void {
	const name = nameOf(environment, more);
	const known = all.get(name)?.compared;
	const compared = known
		? {
				...known,
				queries: known.queries + more.queries,
				discrepancies: known.discrepancies + more.discrepancies,
				errors: known.errors + more.errors,
				legacyMs: known.legacyMs + more.legacyMs,
				candidateMs: known.candidateMs + more.candidateMs,
				timed: known.timed + more.timed,
				samples: [...known.samples, ...more.samples].slice(0, SAMPLES_MAX),
			}
		: more;
	all.set(name, { environment, compared });
}

function once({ subject, phase, isDiscrepancy, isError, latencies, sample }: Comparing, hasRoom: boolean): Compared {
	return {
		subject,
		phase,
		queries: 1,
		discrepancies: Number(isDiscrepancy),
		errors: Number(isError),
		legacyMs: latencies?.legacyMs ?? 0,
		candidateMs: latencies?.candidateMs ?? 0,
		timed: Number(latencies !== undefined),
		samples: sample && hasRoom ? [sample()] : [],
	};
}
