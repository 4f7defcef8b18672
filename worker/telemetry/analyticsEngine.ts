import { COLUMNS, INDEXES, KINDS, type Point, type SystemPoint, TELEMETRY_SCHEMA, slotColumn } from "../../core/telemetry";
import type { PointStore } from "../../core/wire";
import { TooManyPoints } from "./tooManyPoints";

/** What one invocation may write. Older pages of Cloudflare's say 25; which one holds for an account is unverified. */
export const POINTS_MAX = 250;
const INDEX_BYTES_MAX = 96;
/** Of all blobs of a point. */
const BLOB_BYTES_MAX = 16_000;
const DOUBLES_MAX = 20;

/** Where the points come from; empty where it is not known. */
export interface Provenance {
	readonly colo: string;
	readonly route: string;
	/** events, gateway. */
	readonly source: string;
}

/**
 * Analytics Engine as the store of points, made anew for each invocation, whose points it counts. `writeDataPoint` tells nobody
 * whether a point arrived, so `record` promises less here than the embedded store does: that they were all handed over, or none.
 * Nor does it know repetitions: an id that is sent again counts again, but never as a first harm.
 */
export function analyticsEngine(
	dataset: AnalyticsEngineDataset,
	from: Provenance,
	pointsMax: number = POINTS_MAX,
	/** By all stores of this invocation. */
	written: { points: number } = { points: 0 },
): PointStore {
	const writeAll = (points: readonly AnalyticsEngineDataPoint[]): void => {
		const all = written.points + points.length;
		if (all > pointsMax) throw new TooManyPoints(all, pointsMax);
		// All before the first is written: a point that Analytics Engine would refuse must not leave half a batch behind.
		points.forEach(checkSize);
		written.points = all;
		for (const point of points) dataset.writeDataPoint(point);
	};
	return {
		async record(environment, points) {
			writeAll(points.flatMap((point) => dataPoints(environment, point, from)));
		},
		async recordSystem(environment, points) {
			writeAll(points.map((point) => systemDataPoint(environment, point, from)));
		},
	};
}

type Field = keyof typeof COLUMNS;
/** Columns by number, so the order in which they are named here does not matter. */
type Cells = Readonly<Partial<Record<Field, string | number>>>;

/** An outcome, and one point for each signal that takes it for harm. */
function dataPoints(environment: string, point: Point, from: Provenance): AnalyticsEngineDataPoint[] {
	const { rollout, flag, variant, stage, ring, metric, unit, arm, value, served, harms } = point;
	const isEvidence = arm === "candidate" || arm === "control";
	const ringed = ring === undefined ? {} : { ring: String(ring) };
	const common: Cells = { environment, flag, variant, rollout, stage: String(stage), metric, unit, arm, value, served, ...ringed, ...from };
	const outcome = dataPoint(
		INDEXES.outcomes(environment, arm === "outside" ? flag : rollout),
		{ ...common, kind: KINDS.outcome, first: Number(point.first), scored: Number(point.scored) },
		harms.map(({ slot }) => slot),
	);
	if (!isEvidence) return [outcome];
	return [outcome, ...harms.map(({ signal }) => dataPoint(INDEXES.harm(environment, rollout), { ...common, kind: KINDS.harm, signal }))];
}

function systemDataPoint(environment: string, { origin, metric, value }: SystemPoint, from: Provenance): AnalyticsEngineDataPoint {
	return dataPoint(INDEXES.system(environment), { environment, kind: KINDS.system, unit: origin, metric, value, ...from });
}

/** Trailing columns that hold nothing are left out: they read as empty text and 0. */
function dataPoint(index: string, cells: Cells, harmedSlots: readonly number[] = []): AnalyticsEngineDataPoint {
	const blobs: string[] = [];
	const doubles: number[] = [];
	const put = (column: string, value: string | number): void => {
		if (typeof value === "string") place(blobs, Number(column.slice("blob".length)), value, "");
		else place(doubles, Number(column.slice("double".length)), value, 0);
	};
	put(COLUMNS.schema, TELEMETRY_SCHEMA);
	for (const [field, value] of Object.entries(cells)) put(COLUMNS[field as Field], value);
	for (const slot of harmedSlots) put(slotColumn(slot), 1);
	return { indexes: [index], blobs, doubles };
}

/** `number` counts from 1. */
function place<T>(cells: T[], number: number, value: T, empty: T): void {
	while (cells.length < number) cells.push(empty);
	cells[number - 1] = value;
}

const encoder = new TextEncoder();

function checkSize({ indexes = [], blobs = [], doubles = [] }: AnalyticsEngineDataPoint): void {
	const indexBytes = bytesOf(indexes, INDEX_BYTES_MAX);
	if (indexBytes > INDEX_BYTES_MAX) throw new RangeError(`an index of ${indexBytes} bytes > limit ${INDEX_BYTES_MAX}`);
	const blobBytes = bytesOf(blobs, BLOB_BYTES_MAX);
	if (blobBytes > BLOB_BYTES_MAX) throw new RangeError(`a point's texts of ${blobBytes} bytes > limit ${BLOB_BYTES_MAX}`);
	if (doubles.length > DOUBLES_MAX) throw new RangeError(`a point of ${doubles.length} numbers > limit ${DOUBLES_MAX}`);
}

type Text = string | ArrayBuffer | null;

/** No character takes more bytes in UTF-8, for each of its places in a text. */
const CHARACTER_BYTES_MAX = 3;

/** Counted only where it comes near the limit; otherwise some number below it. */
function bytesOf(texts: readonly Text[], limit: number): number {
	const most = sumOf(texts, (text) => (typeof text === "string" ? CHARACTER_BYTES_MAX * text.length : (text?.byteLength ?? 0)));
	return most <= limit ? most : sumOf(texts, (text) => (typeof text === "string" ? encoder.encode(text).length : (text?.byteLength ?? 0)));
}

function sumOf(texts: readonly Text[], of: (text: Text) => number): number {
	let sum = 0;
	for (const text of texts) sum += of(text);
	return sum;
}
