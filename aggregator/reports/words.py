"""A report's words in English and Chinese, and how it writes numbers and times. Both languages have the same keys. Not the report's figures."""

from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final
from zoneinfo import ZoneInfo

from aggregator.reports.table import Cell, Shown

LANGUAGES: Final = ("en", "zh")
_SHARE: Final = Decimal("0.000001")
_DIGITS_SHOWN: Final = {Shown.KG: 3, Shown.PERCENT: 2, Shown.MONEY: 2}

# key: (English, Chinese)
WORDS: Final[dict[str, tuple[str, str]]] = {
    # the page
    "report": ("Energy and emissions report", "能源与碳排放报告"),
    "facility": ("Facility", "核算单位"),
    "span": ("Period", "期间"),
    "known_at": ("As known at", "数据截至"),
    "time_zone": ("Time zone", "时区"),
    "profile": ("Profile", "核算口径"),
    "exactly": ("exactly {0} t CO2e", "精确值 {0} t CO2e"),
    "no_figure": ("no figure", "无数值"),
    "complete": ("Complete", "完整"),
    "yes": ("yes", "是"),
    "no": ("no", "否"),
    "notes": ("Notes", "说明"),
    "shown_rounded": (
        "Figures are exact sums and rounded once, where they are shown. What has no figure is missing, never 0.",
        "数值为精确求和，仅在显示时修约一次；缺失即缺失，绝不以 0 代替。",
    ),
    "verify_with": ("Check it offline", "离线核验"),
    # tables
    "totals": ("Totals by scope", "按范围合计"),
    "sources": ("By source", "按来源"),
    "carriers": ("By carrier", "按能源品种"),
    "months": ("By month", "按月"),
    "days": ("By day", "按日"),
    "coverage": ("Coverage", "覆盖率"),
    "uncertainty": ("Uncertainty at 95 %", "不确定度（95 %）"),
    "half_width_kg": ("± kg", "± kg"),
    "half_width_percent": ("± %", "± %"),
    "independent_kg": ("Last digits of displays, kg", "示值末位 kg"),
    "meters_kg": ("Meters, kg", "计量器具 kg"),
    "factors_kg": ("Factors, kg", "排放因子 kg"),
    "unstated": ("These state none: at least so much", "未声明者（因此为下限）"),
    "report_says": ("this report says", "本报告合计"),
    "difference": ("the column is above it by", "该列高出"),
    "difference_percent": ("which is", "即"),
    "grades": ("Quality of the data", "数据质量"),
    "without_figure": ("Without a figure", "无数值项"),
    "factors": ("Factors and their documents", "排放因子及来源文件"),
    "restatements": ("Runs and restatements", "核算批次与重述"),
    "proofs": ("Proofs", "证明"),
    "rounding": ("Rounding", "修约"),
    "costs": ("What the emissions cost", "碳排放成本"),
    "carbon_prices": ("Carbon prices", "碳价"),
    "another_column": ("Another column of figures", "对照数据列"),
    "stored_as_zero": ("Stored as 0", "误存为 0 的时段"),
    # columns
    "counts": ("Counts as", "归类"),
    "kg": ("kg CO2e", "kg CO2e"),
    "quality": ("Quality", "质量"),
    "column": ("Column", "数据列"),
    "lines": ("Lines", "条目数"),
    "source": ("Source", "来源"),
    "carrier": ("Carrier", "品种"),
    "quantity": ("Quantity", "数量"),
    "unit": ("Unit", "单位"),
    "share": ("Share, %", "占比 %"),
    "intervals": ("Intervals", "时段数"),
    "when": ("When", "时间"),
    "electricity_kwh": ("Electricity, kWh", "电量 kWh"),
    "scope1_kg": ("Scope 1, kg", "范围一 kg"),
    "scope2_kg": ("Scope 2, kg", "范围二 kg"),
    "scope3_kg": ("Scope 3, kg", "范围三 kg"),
    "substituted_intervals": ("Not measured well", "非良好数据"),
    "provisional_intervals": ("Not final", "未定值"),
    "expected": ("Expected intervals", "应有时段"),
    "covered": ("With a figure", "有数值"),
    "covered_percent": ("With a figure, %", "有数值 %"),
    "substituted_percent": ("Not measured well, %", "非良好数据 %"),
    "reason": ("Reason", "原因"),
    "marks": ("Marks", "标记"),
    "from": ("From", "起"),
    "to": ("To", "止"),
    "why": ("Why", "原因"),
    "factor": ("Factor", "因子"),
    "region": ("Region", "地区"),
    "data_year": ("Data year", "数据年度"),
    "version": ("Version", "版本"),
    "kg_per_unit": ("Value", "数值"),
    "tier": ("Tier", "层级"),
    "u95_percent": ("Uncertainty (95 %), %", "不确定度 (95 %) %"),
    "document": ("Document", "文件"),
    "url": ("Address", "网址"),
    "table": ("Table", "表格"),
    "table_sha256": ("Hash of the table (SHA-256)", "表格散列 (SHA-256)"),
    "approved_by": ("Approved by", "批准人"),
    "run": ("Run", "批次"),
    "state": ("State", "状态"),
    "at": ("At", "时间"),
    "change_kg": ("Change, kg", "变动 kg"),
    "causes": ("Causes", "变动原因"),
    "by": ("By", "经办人"),
    "what": ("What", "项目"),
    "value": ("Value", "值"),
    "rounded_to": ("Each interval rounded to", "逐时段修约至"),
    "total_t": ("Total, t", "合计 t"),
    "error_percent": ("Error, %", "误差 %"),
    "zeroed": ("Intervals that became 0", "归零时段"),
    "zeroed_t": ("These were, t", "归零量 t"),
    "cost": ("Cost", "成本"),
    "currency": ("Currency", "币种"),
    "priced_kg": ("At a price, kg CO2e", "已计价 kg CO2e"),
    "price_per_t": ("Price per t CO2e", "每吨 CO2e 价格"),
    "cost_at": ("{0} {1} at the carbon price", "按碳价计 {0} {1}"),
    "cost_of_part": ("{0} {1} at the carbon price, of {2} t of it", "按碳价计 {0} {1}（其中 {2} t 已计价）"),
    "no_cost": ("no carbon price holds over its lines", "无适用碳价"),
    "step": ("Step", "步骤"),
    "energy_kwh": ("Energy, kWh", "电量 kWh"),
    # words in cells
    "all_scopes": ("All scopes", "各范围合计"),
    "scope1": ("Scope 1", "范围一"),
    "scope2": ("Scope 2", "范围二"),
    "scope3": ("Scope 3", "范围三"),
    "allocated": ("Allocated (part of a line above)", "分摊（已含于上列）"),
    "exported": ("Exported", "外送"),
    "caused": ("Caused (marginal)", "边际引致"),
    "avoided": ("Avoided (marginal)", "边际避免"),
    "biogenic": ("Biogenic", "生物源"),
    "life_cycle": ("Life cycle", "生命周期"),
    "removed": ("Removed", "清除"),
    "electricity": ("electricity", "电力"),
    "heat": ("heat", "热力"),
    "steam": ("steam", "蒸汽"),
    "cooling": ("cooling", "冷量"),
    "water": ("water", "水"),
    "gas": ("gas", "燃气"),
    "flue_gas": ("flue gas", "烟气"),
    "measured": ("measured", "实测"),
    "good": ("good", "良好"),
    "uncertain": ("uncertain", "可疑"),
    "substituted": ("substituted", "替代"),
    "provisional": ("provisional", "暂定"),
    "latest": ("latest", "最新"),
    "manual": ("entered by hand", "人工录入"),
    "imported": ("imported", "导入"),
    "longer_than_a_day": ("longer than a day", "跨日"),
    "longer_than_a_month": ("longer than a month", "跨月"),
    "override": ("own factor", "自有因子"),
    "zone": ("hourly series", "小时序列"),
    "province": ("province", "省级"),
    "grid": ("regional grid", "区域电网"),
    "national": ("national", "全国"),
    "settled": ("settled", "已结算"),
    "published": ("published", "已发布"),
    "restated": ("restated", "已重述"),
    "approved": ("approved", "已批准"),
    "publication": ("Publication", "发布"),
    "input_root": ("Root of the intervals that it read", "所读时段的根散列"),
    "factor_set_sha256": ("SHA-256 of the factors", "因子集散列 (SHA-256)"),
    "rules_sha256": ("SHA-256 of the rules", "规则散列 (SHA-256)"),
    "code_version": ("Program", "程序版本"),
    "statement_sha256": ("SHA-256 of the statement", "核算书散列 (SHA-256)"),
    "run_leaf": ("Run in the log", "批次在日志中的位置"),
    "publication_leaf": ("Publication in the log", "发布在日志中的位置"),
    "checkpoint": ("Checkpoint", "检查点"),
    "log_key": ("Key of the log", "日志公钥"),
    "not_rounded": ("not rounded", "不修约"),
    "column_says": ("the column adds up to", "该列合计"),
    "its_last_digit": ("its last digit", "末位"),
    "implied_at_least": ("its factor is at least", "隐含因子下限"),
    "implied_at_most": ("and at most", "隐含因子上限"),
    "implied": ("factor that it implies", "隐含因子"),
    "implied_total": ("energy times that factor", "电量乘以该因子"),
    "rounded_to_zero": ("lost in rows that were rounded to 0", "修约为 0 而丢失"),
    "stored_as_zero_rows": ("lost in rows stored as 0", "误存为 0 而丢失"),
    "other_rounding": ("rounding of the other rows", "其余行的修约"),
    "no_factor_fits": ("no factor gives all of its rows", "无因子可解释全部行"),
    "column_is_off_by": ("the column is off by", "该列偏差"),
    # charts
    "chart_time": ("Emissions over time, t CO2e", "碳排放随时间 t CO2e"),
    "chart_energy": ("Electricity over time, MWh", "用电量随时间 MWh"),
    "chart_sources": ("Emissions by source, t CO2e", "各来源碳排放 t CO2e"),
    "chart_coverage": ("Share of the intervals, %", "时段占比 %"),
    "chart_runs": ("What was said when, t CO2e", "历次公布值 t CO2e"),
    "measured_well": ("measured well", "良好"),
    "no_figures": ("no figure", "无数值"),
    # why rounding matters
    "rounding_said": (
        ("{0} intervals of {1} kWh come to {2} t. Rounded to {3} t one by one they would have come to {4} t ({5} %): {6} of them are below half of the"
        " last digit and would have become 0, {7} t together; what the others gain or lose in rounding is the rest."),
        "{0} 个时段共 {1} kWh，合计 {2} t。若逐时段修约至 {3} t，合计将为 {4} t（{5} %）：其中 {6} 个时段不足末位之半而归零，共 {7} t；其余为各时段修约之差。",
    ),
    "column_said": (
        ("The column {0} adds up to {1} t. Every row of it that is not 0 fits a factor between {2} and {3} kg/kWh, so {4}; with it the energy comes to"
        " {5} t and the column is {6} % off. {7} rows were rounded to 0 ({8} t); {9} rows are stored as 0 though they are not small ({10} t); the"
        " rounding of the others makes {11} t."),
        ("{0} 列合计 {1} t。其全部非零行对应的因子介于 {2} 与 {3} kg/kWh 之间，即 {4}；以此计算电量应为 {5} t，该列偏差 {6} %。{7} 行被修约为 0（{8} t）；"
        "{9} 行并不小却存为 0（{10} t）；其余行的修约差为 {11} t。"),
    ),
}  # fmt: skip


def word(key: str, language: str) -> str:
    """A word of the report's vocabulary; what is not in it stays as it is."""
    said = WORDS.get(key)
    return key if said is None else said[LANGUAGES.index(language)]


def shown(cell: Cell, how: Shown, language: str, zone: ZoneInfo, *, exact: bool = False) -> str:
    """A cell as text: amounts rounded once, half-even, or with all their digits; times in the facility's own."""
    if cell is None:
        return "" if exact else "–"
    if how is Shown.WORD:
        return word(str(cell), language)
    if how is Shown.INSTANT:
        assert isinstance(cell, int)
        return instant(cell, zone)
    if isinstance(cell, Decimal):
        if exact and how is Shown.PERCENT:  # a quotient: its digits have no end
            return f"{cell.quantize(_SHARE, ROUND_HALF_EVEN):f}"
        return f"{cell:f}" if exact else grouped_digits(cell, _DIGITS_SHOWN.get(how))
    if isinstance(cell, int):
        return str(cell) if exact else f"{cell:,}"
    return cell


def grouped_digits(value: Decimal, digits: int | None) -> str:
    """1,234.567 with so many digits behind the point; None: with all that it has."""
    if digits is None:
        return f"{value:,f}"
    return f"{value.quantize(Decimal(1).scaleb(-digits), ROUND_HALF_EVEN):,f}"


def in_tons(kg: Decimal) -> str:
    """An amount in t with three digits behind the point, a small one with three that are not 0."""
    tons = kg.scaleb(-3)
    return grouped_digits(tons, 3 if not tons else max(3, 2 - tons.adjusted()))


def instant(at_ms: int, zone: ZoneInfo) -> str:
    """2026-03-01T00:00+08:00; seconds and milliseconds only where there are any."""
    at = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(zone)
    return at.isoformat(timespec="milliseconds" if at_ms % 1000 else "seconds" if at_ms % 60_000 else "minutes")
