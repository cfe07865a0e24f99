// The page's words in English and Chinese, and how it writes numbers and times. Both languages have the same keys (a test holds that).
export const WORDS = {
  en: {
    skip: "Skip to content",
    facility: "Facility",
    figures: "Key figures",
    reporting: "{0} of {1} devices reporting",
    language: "中文",
    dark: "Dark",
    light: "Light",
    live: "Live",
    wait: "Connecting",
    lost: "Feed lost for {0} s",
    lost_banner: "No data from the server for {0} s. What you see is from {1}; the page keeps trying.",
    waiting_banner: "Waiting for the first data from the server, {0} s.",
    no_facility: "The server knows no facility.",
    accelerated: "Simulated time, {0} times as fast",
    grid: "Grid",
    pv: "Solar",
    sto: "Storage",
    load: "Load",
    ev: "EV charging",
    site: "Site load",
    import: "importing",
    export: "exporting",
    generating: "generating",
    charging: "charging",
    discharging: "discharging",
    using: "using",
    idle: "idle",
    unmetered: "from the balance",
    no_value: "no value",
    soc: "{0} %",
    emissions_now: "Emissions now",
    emissions_today: "Emissions today",
    factor: "{0} kg/kWh",
    factor_named: "{0} · version {1}",
    data_year: "data of {0}",
    no_factor: "no factor, so no figure",
    missing_intervals: "{0} intervals without a figure",
    mark_provisional: "provisional",
    mark_fallback_latest: "latest year applied",
    "mark_test data": "test data",
    mark_fallback_place: "of the wider region",
    mark_estimated: "estimated",
    mark_substituted: "substituted",
    mark_uncertain: "uncertain",
    mark_not_proven: "not proven",
    flow: "Power flow now",
    residual: "unaccounted {0} kW",
    trend: "Power, last hour, kW",
    range: "Time range",
    zoom: "Drag to zoom, double-click for live",
    no_data: "no data",
    chart_help: "{0}. Arrow keys read values.",
    edges: "Gateways",
    edge: "Gateway",
    backlog: "backlog",
    gaps: "gaps",
    held: "held",
    refused: "refused",
    conflicts: "conflicts",
    batches_through: "delivered through batch {0}",
    unknown: "not heard yet",
    devices: "Devices",
    filter: "Which devices",
    all: "All {0}",
    problems: "Problems {0}",
    find: "Find a device",
    device: "Device",
    part: "Part",
    protocol: "Protocol",
    state: "State",
    power: "Power, kW",
    age: "Last value",
    quality: "Quality",
    online: "online",
    late: "late",
    offline: "offline",
    never: "never",
    q_g: "good",
    q_u: "uncertain",
    q_b: "bad",
    q_s: "substituted",
    q_e: "estimated",
    role_main: "grid connection",
    role_sub: "sub-meter",
    role_check: "check meter",
    alarms: "Alarms",
    alarm_count: "{0} to acknowledge",
    no_alarms: "No open alarms",
    acknowledge: "Acknowledge",
    unack: "Active, not acknowledged",
    ack: "Active, acknowledged",
    ack_by: "Active, acknowledged by {0}",
    rtn: "Cleared, not acknowledged",
    priority_1: "critical",
    priority_2: "high",
    priority_3: "medium",
    priority_4: "low",
    flood: "Alarm flood: {0} in the last 10 minutes",
    ack_failed: "Not acknowledged: {0}",
    token_ask: "Acknowledging needs the operator's token",
    ok: "OK",
    cancel: "Cancel",
    alarm_device_offline: "No answer (gateway {0})",
    alarm_edge_offline: "Gateway not connected",
    alarm_factor_missing: "No emission factor applies: emissions have no figure ({0})",
    alarm_residual: "Meters do not add up: {0} kW of {1} kW unaccounted",
    alarm_conflict: "{0} batch numbers came with two contents",
    alarm_key_unknown: "Batches held: nobody has accepted its key {0}",
    alarm_batch_refused: "{0} batches refused",
    alarm_gap: "Readings are missing: {0} named gaps",
    alarm_counter_held: "Counter jumped; its energy waits for confirmation",
    alarm_counter_reset: "Counter began anew",
    alarm_store_unavailable: "The store does not take readings: {0}",
  },
  zh: {
    skip: "跳到内容",
    facility: "站点",
    figures: "关键指标",
    reporting: "{1} 台设备中 {0} 台上报",
    language: "English",
    dark: "深色",
    light: "浅色",
    live: "实时",
    wait: "连接中",
    lost: "数据中断 {0} 秒",
    lost_banner: "已 {0} 秒未收到服务器数据。当前显示的是 {1} 的数值，正在重连。",
    waiting_banner: "等待服务器的首次数据，已 {0} 秒。",
    no_facility: "服务器上没有站点。",
    accelerated: "模拟时间，{0} 倍速",
    grid: "电网",
    pv: "光伏",
    sto: "储能",
    load: "负荷",
    ev: "充电桩",
    site: "全站负荷",
    import: "下网",
    export: "上网",
    generating: "发电",
    charging: "充电",
    discharging: "放电",
    using: "用电",
    idle: "空闲",
    unmetered: "由平衡推算",
    no_value: "无数值",
    soc: "{0} %",
    emissions_now: "实时碳排放",
    emissions_today: "今日碳排放",
    factor: "{0} kg/kWh",
    factor_named: "{0} · 版本 {1}",
    data_year: "{0} 年数据",
    no_factor: "无排放因子，不给数值",
    missing_intervals: "{0} 个时段无数值",
    mark_provisional: "暂定",
    mark_fallback_latest: "沿用最新年度",
    "mark_test data": "测试数据",
    mark_fallback_place: "采用上级区域",
    mark_estimated: "估算",
    mark_substituted: "替代",
    mark_uncertain: "可疑",
    mark_not_proven: "未证实",
    flow: "实时功率流向",
    residual: "未计量 {0} kW",
    trend: "近一小时功率 kW",
    range: "时间范围",
    zoom: "拖动缩放，双击返回实时",
    no_data: "无数据",
    chart_help: "{0}。用方向键读数。",
    edges: "网关",
    edge: "网关",
    backlog: "积压",
    gaps: "缺口",
    held: "暂扣",
    refused: "拒收",
    conflicts: "冲突",
    batches_through: "已送达至第 {0} 批",
    unknown: "尚未上线",
    devices: "设备",
    filter: "设备筛选",
    all: "全部 {0}",
    problems: "异常 {0}",
    find: "查找设备",
    device: "设备",
    part: "用途",
    protocol: "协议",
    state: "状态",
    power: "功率 kW",
    age: "最新数据",
    quality: "数据质量",
    online: "在线",
    late: "迟到",
    offline: "离线",
    never: "从未",
    q_g: "良好",
    q_u: "可疑",
    q_b: "坏值",
    q_s: "替代值",
    q_e: "估算",
    role_main: "关口表",
    role_sub: "分表",
    role_check: "校核表",
    alarms: "告警",
    alarm_count: "{0} 条待确认",
    no_alarms: "没有未关闭的告警",
    acknowledge: "确认",
    unack: "未确认",
    ack: "已确认",
    ack_by: "已由 {0} 确认",
    rtn: "已恢复，未确认",
    priority_1: "紧急",
    priority_2: "高",
    priority_3: "中",
    priority_4: "低",
    flood: "告警泛滥：近 10 分钟 {0} 条",
    ack_failed: "未能确认：{0}",
    token_ask: "确认告警需要操作员令牌",
    ok: "确定",
    cancel: "取消",
    alarm_device_offline: "无应答（网关 {0}）",
    alarm_edge_offline: "网关未连接",
    alarm_factor_missing: "没有适用的排放因子：不给碳排放数值（{0}）",
    alarm_residual: "各表不平衡：{1} kW 中有 {0} kW 未计量",
    alarm_conflict: "{0} 个批次号出现两种内容",
    alarm_key_unknown: "批次暂扣：密钥 {0} 未被接受",
    alarm_batch_refused: "{0} 批被拒收",
    alarm_gap: "{0} 处已记录缺口：缺少读数",
    alarm_counter_held: "电表计数跳变，电量待确认",
    alarm_counter_reset: "电表计数重新开始",
    alarm_store_unavailable: "存储无法写入：{0}",
  },
};

export let language = "en";
let zone = "UTC";

export function say(key, ...values) {
  const text = WORDS[language][key] ?? key;
  return text.replace(/\{(\d)\}/g, (_, at) => values[at] ?? "–");
}

export function speak(name) {
  language = name;
  document.documentElement.lang = name === "zh" ? "zh-CN" : "en";
  for (const element of document.querySelectorAll("[data-i18n]")) element.textContent = say(element.dataset.i18n);
  for (const element of document.querySelectorAll("[data-i18n-label]")) element.setAttribute("aria-label", say(element.dataset.i18nLabel));
}

export const useZone = (name) => {
  zone = name;
};

const formats = new Map();
function cached(make, ...key) {
  const name = key.join("|");
  if (!formats.has(name)) formats.set(name, make());
  return formats.get(name);
}

const MINUS = "\u2212";
export function num(value, digits = 1) {
  if (value == null) return "–";
  const format = cached(() => new Intl.NumberFormat(language === "zh" ? "zh-CN" : "en", { minimumFractionDigits: digits, maximumFractionDigits: digits }), "n", language, digits);
  const text = format.format(Math.abs(value));
  return value < 0 && Number(Math.abs(value).toFixed(digits)) !== 0 ? MINUS + text : text;
}

// With its sign always: + into the site or the device, − out of it.
export const signed = (value, digits = 1) => (value == null ? "–" : Number(value.toFixed(digits)) > 0 ? `+${num(value, digits)}` : num(value, digits));

function clockFormat(withSeconds) {
  const parts = { hour: "2-digit", minute: "2-digit", hourCycle: "h23", timeZone: zone };
  return cached(() => new Intl.DateTimeFormat("en-GB", withSeconds ? { ...parts, second: "2-digit" } : parts), "t", withSeconds, zone);
}
export const hm = (ms) => clockFormat(false).format(ms);
export const hms = (ms) => clockFormat(true).format(ms);
export const day = (ms) => cached(() => new Intl.DateTimeFormat("en-CA", { timeZone: zone }), "d", zone).format(ms);

export function ago(ms) {
  const seconds = Math.max(0, ms / 1000);
  if (seconds < 90) return `${Math.round(seconds)} s`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`;
}
