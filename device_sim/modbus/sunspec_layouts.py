"""The points of SunSpec models in their order, with their types. Not where a device keeps a model, nor what its points mean.

From the SunSpec Alliance's "SunSpec Device Information Model Reference", retyped point by point; `tests/device_sim` holds them against the model
files that the alliance publishes with pysunspec2. Points of a group carry its name; of a group that repeats there are as many as stated.
"""

from typing import Final

VENDOR_MODEL: Final = 64_900
Points = tuple[tuple[str, str], ...]


def points(text: str, **types: str) -> Points:
    """Names in order; those not named in `types` (space-separated names per type) are uint16, scale factors sunssf."""
    by_name = {name: type_ for type_, names in types.items() for name in names.split()}
    return tuple((name, by_name.get(name, "sunssf" if name.endswith("_SF") else "uint16")) for name in text.split())


_INVERTER: Final = points(
    "A AphA AphB AphC A_SF PPVphAB PPVphBC PPVphCA PhVphA PhVphB PhVphC V_SF W W_SF Hz Hz_SF VA VA_SF VAr VAr_SF PF PF_SF WH WH_SF "
    "DCA DCA_SF DCV DCV_SF DCW DCW_SF TmpCab TmpSnk TmpTrns TmpOt Tmp_SF St StVnd Evt1 Evt2 EvtVnd1 EvtVnd2 EvtVnd3 EvtVnd4",
    int16="W VA VAr PF DCW TmpCab TmpSnk TmpTrns TmpOt",
    acc32="WH",
    enum16="St StVnd",
    bitfield32="Evt1 Evt2 EvtVnd1 EvtVnd2 EvtVnd3 EvtVnd4",
)
_INVERTER_FLOAT: Final = points(
    "A AphA AphB AphC PPVphAB PPVphBC PPVphCA PhVphA PhVphB PhVphC W Hz VA VAr PF WH DCA DCV DCW TmpCab TmpSnk "
    "TmpTrns TmpOt St StVnd Evt1 Evt2 EvtVnd1 EvtVnd2 EvtVnd3 EvtVnd4",
    float32=(
        "A AphA AphB AphC PPVphAB PPVphBC PPVphCA PhVphA PhVphB PhVphC W Hz VA VAr PF WH DCA DCV DCW TmpCab "
        "TmpSnk TmpTrns TmpOt"
    ),
    enum16="St StVnd",
    bitfield32="Evt1 Evt2 EvtVnd1 EvtVnd2 EvtVnd3 EvtVnd4",
)
MODELS: Final[dict[int, Points]] = {
    1: (
        ("Mn", "string16"),
        ("Md", "string16"),
        ("Opt", "string8"),
        ("Vr", "string8"),
        ("SN", "string16"),
        ("DA", "uint16"),
        ("Pad", "pad"),
    ),
    101: _INVERTER,
    102: _INVERTER,
    103: _INVERTER,
    111: _INVERTER_FLOAT,
    112: _INVERTER_FLOAT,
    113: _INVERTER_FLOAT,
    123: points(
        "Conn_WinTms Conn_RvrtTms Conn WMaxLimPct WMaxLimPct_WinTms WMaxLimPct_RvrtTms WMaxLimPct_RmpTms WMaxLim_Ena OutPFSet OutPFSet_WinTms "
        "OutPFSet_RvrtTms OutPFSet_RmpTms OutPFSet_Ena VArWMaxPct VArMaxPct VArAvalPct VArPct_WinTms VArPct_RvrtTms VArPct_RmpTms VArPct_Mod "
        "VArPct_Ena WMaxLimPct_SF OutPFSet_SF VArPct_SF",
        enum16="Conn WMaxLim_Ena OutPFSet_Ena VArPct_Mod VArPct_Ena",
        int16="OutPFSet VArWMaxPct VArMaxPct VArAvalPct",
    ),
    124: points(
        "WChaMax WChaGra WDisChaGra StorCtl_Mod VAChaMax MinRsvPct ChaState StorAval InBatV ChaSt OutWRte InWRte InOutWRte_WinTms "
        "InOutWRte_RvrtTms InOutWRte_RmpTms ChaGriSet WChaMax_SF WChaDisChaGra_SF VAChaMax_SF MinRsvPct_SF ChaState_SF StorAval_SF InBatV_SF "
        "InOutWRte_SF",
        bitfield16="StorCtl_Mod",
        enum16="ChaSt ChaGriSet",
        int16="OutWRte InWRte",
    ),
    203: points(
        "A AphA AphB AphC A_SF PhV PhVphA PhVphB PhVphC PPV PhVphAB PhVphBC PhVphCA V_SF Hz Hz_SF W WphA WphB WphC W_SF "
        "VA VAphA VAphB VAphC VA_SF VAR VARphA VARphB VARphC VAR_SF PF PFphA PFphB PFphC PF_SF TotWhExp TotWhExpPhA "
        "TotWhExpPhB TotWhExpPhC TotWhImp TotWhImpPhA TotWhImpPhB TotWhImpPhC TotWh_SF TotVAhExp TotVAhExpPhA "
        "TotVAhExpPhB TotVAhExpPhC TotVAhImp TotVAhImpPhA TotVAhImpPhB TotVAhImpPhC TotVAh_SF TotVArhImpQ1 "
        "TotVArhImpQ1PhA TotVArhImpQ1PhB TotVArhImpQ1PhC TotVArhImpQ2 TotVArhImpQ2PhA TotVArhImpQ2PhB TotVArhImpQ2PhC "
        "TotVArhExpQ3 TotVArhExpQ3PhA TotVArhExpQ3PhB TotVArhExpQ3PhC TotVArhExpQ4 TotVArhExpQ4PhA TotVArhExpQ4PhB "
        "TotVArhExpQ4PhC TotVArh_SF Evt",
        int16=(
            "A AphA AphB AphC PhV PhVphA PhVphB PhVphC PPV PhVphAB PhVphBC PhVphCA Hz W WphA WphB WphC VA VAphA "
            "VAphB VAphC VAR VARphA VARphB VARphC PF PFphA PFphB PFphC"
        ),
        acc32=(
            "TotWhExp TotWhExpPhA TotWhExpPhB TotWhExpPhC TotWhImp TotWhImpPhA TotWhImpPhB TotWhImpPhC TotVAhExp "
            "TotVAhExpPhA TotVAhExpPhB TotVAhExpPhC TotVAhImp TotVAhImpPhA TotVAhImpPhB TotVAhImpPhC TotVArhImpQ1 "
            "TotVArhImpQ1PhA TotVArhImpQ1PhB TotVArhImpQ1PhC TotVArhImpQ2 TotVArhImpQ2PhA TotVArhImpQ2PhB "
            "TotVArhImpQ2PhC TotVArhExpQ3 TotVArhExpQ3PhA TotVArhExpQ3PhB TotVArhExpQ3PhC TotVArhExpQ4 "
            "TotVArhExpQ4PhA TotVArhExpQ4PhB TotVArhExpQ4PhC"
        ),
        bitfield32="Evt",
    ),
    213: points(
        "A AphA AphB AphC PhV PhVphA PhVphB PhVphC PPV PPVphAB PPVphBC PPVphCA Hz W WphA WphB WphC VA VAphA VAphB VAphC "
        "VAR VARphA VARphB VARphC PF PFphA PFphB PFphC TotWhExp TotWhExpPhA TotWhExpPhB TotWhExpPhC TotWhImp TotWhImpPhA "
        "TotWhImpPhB TotWhImpPhC TotVAhExp TotVAhExpPhA TotVAhExpPhB TotVAhExpPhC TotVAhImp TotVAhImpPhA TotVAhImpPhB "
        "TotVAhImpPhC TotVArhImpQ1 TotVArhImpQ1phA TotVArhImpQ1phB TotVArhImpQ1phC TotVArhImpQ2 TotVArhImpQ2phA "
        "TotVArhImpQ2phB TotVArhImpQ2phC TotVArhExpQ3 TotVArhExpQ3phA TotVArhExpQ3phB TotVArhExpQ3phC TotVArhExpQ4 "
        "TotVArhExpQ4phA TotVArhExpQ4phB TotVArhExpQ4phC Evt",
        float32=(
            "A AphA AphB AphC PhV PhVphA PhVphB PhVphC PPV PPVphAB PPVphBC PPVphCA Hz W WphA WphB WphC VA VAphA "
            "VAphB VAphC VAR VARphA VARphB VARphC PF PFphA PFphB PFphC TotWhExp TotWhExpPhA TotWhExpPhB "
            "TotWhExpPhC TotWhImp TotWhImpPhA TotWhImpPhB TotWhImpPhC TotVAhExp TotVAhExpPhA TotVAhExpPhB "
            "TotVAhExpPhC TotVAhImp TotVAhImpPhA TotVAhImpPhB TotVAhImpPhC TotVArhImpQ1 TotVArhImpQ1phA "
            "TotVArhImpQ1phB TotVArhImpQ1phC TotVArhImpQ2 TotVArhImpQ2phA TotVArhImpQ2phB TotVArhImpQ2phC "
            "TotVArhExpQ3 TotVArhExpQ3phA TotVArhExpQ3phB TotVArhExpQ3phC TotVArhExpQ4 TotVArhExpQ4phA "
            "TotVArhExpQ4phB TotVArhExpQ4phC"
        ),
        bitfield32="Evt",
    ),
    701: points(
        "ACType St InvSt ConnSt Alrm DERMode W VA Var PF A LLV LNV Hz TotWhInj TotWhAbs TotVarhInj TotVarhAbs TmpAmb "
        "TmpCab TmpSnk TmpTrns TmpSw TmpOt WL1 VAL1 VarL1 PFL1 AL1 VL1L2 VL1 TotWhInjL1 TotWhAbsL1 TotVarhInjL1 "
        "TotVarhAbsL1 WL2 VAL2 VarL2 PFL2 AL2 VL2L3 VL2 TotWhInjL2 TotWhAbsL2 TotVarhInjL2 TotVarhAbsL2 WL3 VAL3 VarL3 "
        "PFL3 AL3 VL3L1 VL3 TotWhInjL3 TotWhAbsL3 TotVarhInjL3 TotVarhAbsL3 ThrotPct ThrotSrc A_SF V_SF Hz_SF W_SF PF_SF "
        "VA_SF Var_SF TotWh_SF TotVarh_SF Tmp_SF MnAlrmInfo",
        enum16="ACType St InvSt ConnSt",
        bitfield32="Alrm DERMode ThrotSrc",
        int16=(
            "W VA Var PF A TmpAmb TmpCab TmpSnk TmpTrns TmpSw TmpOt WL1 VAL1 VarL1 PFL1 AL1 WL2 VAL2 VarL2 PFL2 "
            "AL2 WL3 VAL3 VarL3 PFL3 AL3"
        ),
        uint32="Hz",
        uint64=(
            "TotWhInj TotWhAbs TotVarhInj TotVarhAbs TotWhInjL1 TotWhAbsL1 TotVarhInjL1 TotVarhAbsL1 TotWhInjL2 "
            "TotWhAbsL2 TotVarhInjL2 TotVarhAbsL2 TotWhInjL3 TotWhAbsL3 TotVarhInjL3 TotVarhAbsL3"
        ),
        string32="MnAlrmInfo",
    ),
    704: points(
        "PFWInjEna PFWInjEnaRvrt PFWInjRvrtTms PFWInjRvrtRem PFWAbsEna PFWAbsEnaRvrt PFWAbsRvrtTms PFWAbsRvrtRem "
        "WMaxLimPctEna WMaxLimPct WMaxLimPctRvrt WMaxLimPctEnaRvrt WMaxLimPctRvrtTms WMaxLimPctRvrtRem WSetEna WSetMod "
        "WSet WSetRvrt WSetPct WSetPctRvrt WSetEnaRvrt WSetRvrtTms WSetRvrtRem VarSetEna VarSetMod VarSetPri VarSet "
        "VarSetRvrt VarSetPct VarSetPctRvrt VarSetEnaRvrt VarSetRvrtTms VarSetRvrtRem WRmp WRmpRef VarRmp AntiIslEna "
        "PF_SF WMaxLimPct_SF WSet_SF WSetPct_SF VarSet_SF VarSetPct_SF PFWInj.PF PFWInj.Ext PFWInjRvrt.PF PFWInjRvrt.Ext "
        "PFWAbs.PF PFWAbs.Ext PFWAbsRvrt.PF PFWAbsRvrt.Ext",
        enum16=(
            "PFWInjEna PFWInjEnaRvrt PFWAbsEna PFWAbsEnaRvrt WMaxLimPctEna WMaxLimPctEnaRvrt WSetEna WSetMod "
            "WSetEnaRvrt VarSetEna VarSetMod VarSetPri VarSetEnaRvrt WRmpRef AntiIslEna PFWInj.Ext PFWInjRvrt.Ext "
            "PFWAbs.Ext PFWAbsRvrt.Ext"
        ),
        uint32=(
            "PFWInjRvrtTms PFWInjRvrtRem PFWAbsRvrtTms PFWAbsRvrtRem WMaxLimPctRvrtTms WMaxLimPctRvrtRem "
            "WSetRvrtTms WSetRvrtRem VarSetRvrtTms VarSetRvrtRem"
        ),
        int32="WSet WSetRvrt VarSet VarSetRvrt",
        int16="WSetPct WSetPctRvrt VarSetPct VarSetPctRvrt",
    ),
    713: points(
        "WHRtg WHAvail SoC SoH Sta WH_SF Pct_SF",
        enum16="Sta",
    ),
    714: points(
        "PrtAlrms NPrt DCA DCW DCWhInj DCWhAbs DCA_SF DCV_SF DCW_SF DCWH_SF Tmp_SF Prt1.PrtTyp Prt1.ID Prt1.IDStr "
        "Prt1.DCA Prt1.DCV Prt1.DCW Prt1.DCWhInj Prt1.DCWhAbs Prt1.Tmp Prt1.DCSta Prt1.DCAlrm",
        bitfield32="PrtAlrms Prt1.DCAlrm",
        int16="DCA DCW Prt1.DCA Prt1.DCW Prt1.Tmp",
        uint64="DCWhInj DCWhAbs Prt1.DCWhInj Prt1.DCWhAbs",
        enum16="Prt1.PrtTyp Prt1.DCSta",
        string8="Prt1.IDStr",
    ),
    802: points(
        "AHRtg WHRtg WChaRteMax WDisChaRteMax DisChaRte SoCMax SoCMin SocRsvMax SoCRsvMin SoC DoD SoH NCyc ChaSt LocRemCtl Hb CtrlHb AlmRst "
        "Typ State StateVnd WarrDt Evt1 Evt2 EvtVnd1 EvtVnd2 V VMax VMin CellVMax CellVMaxStr CellVMaxMod CellVMin CellVMinStr CellVMinMod "
        "CellVAvg A AChaMax ADisChaMax W ReqInvState ReqW SetOp SetInvState AHRtg_SF WHRtg_SF WChaDisChaMax_SF DisChaRte_SF SoC_SF DoD_SF "
        "SoH_SF V_SF CellV_SF A_SF AMax_SF W_SF",
        uint32="NCyc WarrDt",
        enum16="ChaSt LocRemCtl Typ State StateVnd ReqInvState SetOp SetInvState",
        bitfield32="Evt1 Evt2 EvtVnd1 EvtVnd2",
        int16="A W ReqW",
    ),
    803: points(
        "NStr NStrCon ModTmpMax ModTmpMaxStr ModTmpMaxMod ModTmpMin ModTmpMinStr ModTmpMinMod ModTmpAvg StrVMax "
        "StrVMaxStr StrVMin StrVMinStr StrVAvg StrAMax StrAMaxStr StrAMin StrAMinStr StrAAvg NCellBal CellV_SF ModTmp_SF "
        "A_SF SoH_SF SoC_SF V_SF string1.StrNMod string1.StrSt string1.StrConFail string1.StrSoC string1.StrSoH "
        "string1.StrA string1.StrCellVMax string1.StrCellVMaxMod string1.StrCellVMin string1.StrCellVMinMod "
        "string1.StrCellVAvg string1.StrModTmpMax string1.StrModTmpMaxMod string1.StrModTmpMin string1.StrModTmpMinMod "
        "string1.StrModTmpAvg string1.StrDisRsn string1.StrConSt string1.StrEvt1 string1.StrEvt2 string1.StrEvtVnd1 "
        "string1.StrEvtVnd2 string1.StrSetEna string1.StrSetCon string1.Pad1 string1.Pad2",
        int16=(
            "ModTmpMax ModTmpMin ModTmpAvg StrAMax StrAMin StrAAvg string1.StrA string1.StrModTmpMax "
            "string1.StrModTmpMin string1.StrModTmpAvg"
        ),
        bitfield32="string1.StrSt string1.StrConSt string1.StrEvt1 string1.StrEvt2 string1.StrEvtVnd1 string1.StrEvtVnd2",
        enum16="string1.StrConFail string1.StrDisRsn string1.StrSetEna string1.StrSetCon",
        pad="string1.Pad1 string1.Pad2",
    ),
    804: points(
        "Idx NMod St ConFail NCellBal SoC DoD NCyc SoH A V CellVMax CellVMaxMod CellVMin CellVMinMod CellVAvg ModTmpMax "
        "ModTmpMaxMod ModTmpMin ModTmpMinMod ModTmpAvg Pad1 ConSt Evt1 Evt2 EvtVnd1 EvtVnd2 SetEna SetCon SoC_SF SoH_SF "
        "DoD_SF A_SF V_SF CellV_SF ModTmp_SF Pad2 Pad3 Pad4 lithium_ion_string_module1.ModNCell "
        "lithium_ion_string_module1.ModSoC lithium_ion_string_module1.ModSoH lithium_ion_string_module1.ModCellVMax "
        "lithium_ion_string_module1.ModCellVMaxCell lithium_ion_string_module1.ModCellVMin "
        "lithium_ion_string_module1.ModCellVMinCell lithium_ion_string_module1.ModCellVAvg "
        "lithium_ion_string_module1.ModCellTmpMax lithium_ion_string_module1.ModCellTmpMaxCell "
        "lithium_ion_string_module1.ModCellTmpMin lithium_ion_string_module1.ModCellTmpMinCell "
        "lithium_ion_string_module1.ModCellTmpAvg lithium_ion_string_module1.Pad5 lithium_ion_string_module1.Pad6 "
        "lithium_ion_string_module1.Pad7",
        bitfield32="St ConSt Evt1 Evt2 EvtVnd1 EvtVnd2",
        enum16="ConFail SetEna SetCon",
        uint32="NCyc",
        int16=(
            "A ModTmpMax ModTmpMin ModTmpAvg lithium_ion_string_module1.ModCellTmpMax "
            "lithium_ion_string_module1.ModCellTmpMin lithium_ion_string_module1.ModCellTmpAvg"
        ),
        pad=(
            "Pad1 Pad2 Pad3 Pad4 lithium_ion_string_module1.Pad5 lithium_ion_string_module1.Pad6 "
            "lithium_ion_string_module1.Pad7"
        ),
    ),
    VENDOR_MODEL: (("Serial", "uint32"),),
}
