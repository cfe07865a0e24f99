// Local times of a facility: as people type them, and its months and years as spans of instants. Not how they are shown (see words).
const PARTS = { hourCycle: "h23", year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", minute: "2-digit", second: "2-digit" };

function written(ms, zone) {
  return new Intl.DateTimeFormat("sv-SE", { ...PARTS, timeZone: zone }).format(ms).replace(" ", "T");
}

// UTC ms of a local time at the facility.
export function instant(text, zone) {
  const wanted = Date.parse(`${text}Z`);
  let at = wanted;
  for (let n = 0; n < 2; n++) at += wanted - Date.parse(`${written(at, zone)}Z`);
  return at;
}

// What a datetime-local field shows for an instant, to the minute.
export const field = (ms, zone) => written(ms, zone).slice(0, 16);

// Names of the last months, then of the last years, the newest first.
export function periods(now_ms, zone, months, years) {
  const [year, month] = written(now_ms, zone).split("-").map(Number);
  const named = Array.from({ length: months }, (_, back) => {
    const at = year * 12 + month - 1 - back;
    return `${Math.floor(at / 12)}-${String((at % 12) + 1).padStart(2, "0")}`;
  });
  return [...named, ...Array.from({ length: years }, (_, back) => String(year - back))];
}

// [from, to) of a month such as 2026-05 or a year, as far as it is over by whole intervals; whole: its end.
export function spanOf(name, zone, now_ms, interval_s) {
  const [year, month] = name.split("-").map(Number);
  const begin = (count) => instant(`${String(Math.floor(count / 12)).padStart(4, "0")}-${String((count % 12) + 1).padStart(2, "0")}-01T00:00:00`, zone);
  const first = year * 12 + (month ? month - 1 : 0);
  const from = begin(first);
  const whole = begin(first + (month ? 1 : 12));
  const step = interval_s * 1000;
  return { from, to: Math.max(from + step, Math.min(whole, Math.floor(now_ms / step) * step)), whole };
}
