// Published totals beside the newest run of the same span, as bars in t CO2e. Text stands beside every bar, so that no colour has to be read.
import { h, s } from "./dom.js";
import { say, tons } from "./words.js";

const WIDTH = 1000;
const ROW = 40;
const BAR = 13;
const LEFT = 260;
const RIGHT = 330;

// Of each profile and span the standing publication and the newest run; by profile, the newest span first.
export function issuedSpans({ runs, publications }) {
  const spans = new Map();
  const of = (each) => `${each.profile} ${each.from_ms} ${each.to_ms}`;
  for (const each of publications) {
    const found = spans.get(of(each)) ?? { first: each };
    spans.set(of(each), { ...found, profile: each.profile, from_ms: each.from_ms, to_ms: each.to_ms, published: each });
  }
  for (const run of runs) if (spans.has(of(run))) spans.get(of(run)).newest = run;
  return [...spans.values()].sort((a, b) => a.profile.localeCompare(b.profile) || b.from_ms - a.from_ms || b.to_ms - a.to_ms);
}

export function drawIssued(element, spans, written) {
  if (!spans.length) {
    element.replaceChildren(h("p", {}, say("account_none_issued")));
    return;
  }
  const most = Math.max(...spans.flatMap(({ first, published, newest }) => [first, published, newest].map((each) => Number(each?.kg ?? 0))), 1e-9);
  const length = (kg) => Math.max(0, (Number(kg ?? 0) / most) * (WIDTH - LEFT - RIGHT));
  const rows = spans.map(({ profile, from_ms, to_ms, first, published, newest }, at) => {
    const top = at * ROW + 4;
    const was = first.publication === published.publication ? "" : ` (${say("account_first", tons(first.kg))})`;
    const bars = [["grid", published.kg, `${tons(published.kg)} t${was}`], ["load", newest?.kg, `${tons(newest?.kg)} t · ${say("account_run_of", newest?.run, say(`run_${newest?.state}`))}`]];
    return s("g", {}, s("text", { x: 0, y: top + 18 }, `${profile}  ${written(from_ms, to_ms)}`), ...bars.flatMap(([part, kg, text], n) => {
      const y = top + n * (BAR + 3);
      return [s("rect", { class: `bar part-${part}`, x: LEFT, y, width: length(kg).toFixed(1), height: BAR, "data-kg": kg ?? "" }), s("text", { class: "endvalue", x: LEFT + length(kg) + 8, y: y + BAR - 2 }, text)];
    }));
  });
  element.replaceChildren(s("svg", { class: "bars", viewBox: `0 0 ${WIDTH} ${spans.length * ROW + 4}`, role: "img", "aria-label": say("account_issued") }, ...rows));
}
