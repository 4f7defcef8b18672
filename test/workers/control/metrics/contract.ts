import { describeFirstExposures } from "./contract/exposures";
import { describeFirstHarms } from "./contract/firstHarms";
import { describePerformance } from "./contract/performance";
import { describeQuantiles } from "./contract/quantiles";
import { describeRepetitions } from "./contract/repetitions";
import { describeRings } from "./contract/rings";
import { describeScores } from "./contract/scores";
import { type MetricStore, Watched } from "./contract/store";
import { describeSystem } from "./contract/system";
import { describeText } from "./contract/text";
import { describeUserSums } from "./contract/userSums";
import { describeWindows } from "./contract/windows";

export type { Arrival, MetricStore } from "./contract/store";

/** What every metrics source promises, whatever it stores in. */
export function describeMetricsSource(name: string, store: MetricStore): void {
	const watched = new Watched(store);
	describeWindows(name, watched);
	describeFirstHarms(name, watched);
	describeUserSums(name, watched);
	describeQuantiles(name, watched);
	describeFirstExposures(name, watched);
	describeRings(name, watched);
	describeScores(name, watched);
	describePerformance(name, watched);
	describeSystem(name, watched);
	describeRepetitions(name, watched);
	describeText(name, watched);
}
