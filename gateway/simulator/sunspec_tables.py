"""Points of the SunSpec models that the simulated devices carry, in order, after ID and L (modbus.md Appendix A).

``Name=type`` or ``Name=type/scale``. Types: ``u i a e b`` unsigned, signed, accumulator, enumeration, bit field, with
their bits; ``sf`` scale factor; ``s8`` a string of 8 registers; ``pad``.
"""

MODELS: dict[int, str] = {
    1: """
        Mn=s16 Md=s16 Opt=s8 Vr=s8 SN=s16 DA=u16 Pad=pad
    """,
    203: """
        A=i16/A_SF AphA=i16/A_SF AphB=i16/A_SF AphC=i16/A_SF A_SF=sf PhV=i16/V_SF PhVphA=i16/V_SF
        PhVphB=i16/V_SF PhVphC=i16/V_SF PPV=i16/V_SF PhVphAB=i16/V_SF PhVphBC=i16/V_SF
        PhVphCA=i16/V_SF V_SF=sf Hz=i16/Hz_SF Hz_SF=sf W=i16/W_SF WphA=i16/W_SF WphB=i16/W_SF
        WphC=i16/W_SF W_SF=sf VA=i16/VA_SF VAphA=i16/VA_SF VAphB=i16/VA_SF VAphC=i16/VA_SF VA_SF=sf
        VAR=i16/VAR_SF VARphA=i16/VAR_SF VARphB=i16/VAR_SF VARphC=i16/VAR_SF VAR_SF=sf PF=i16/PF_SF
        PFphA=i16/PF_SF PFphB=i16/PF_SF PFphC=i16/PF_SF PF_SF=sf TotWhExp=a32/TotWh_SF
        TotWhExpPhA=a32/TotWh_SF TotWhExpPhB=a32/TotWh_SF TotWhExpPhC=a32/TotWh_SF
        TotWhImp=a32/TotWh_SF TotWhImpPhA=a32/TotWh_SF TotWhImpPhB=a32/TotWh_SF
        TotWhImpPhC=a32/TotWh_SF TotWh_SF=sf TotVAhExp=a32/TotVAh_SF TotVAhExpPhA=a32/TotVAh_SF
        TotVAhExpPhB=a32/TotVAh_SF TotVAhExpPhC=a32/TotVAh_SF TotVAhImp=a32/TotVAh_SF
        TotVAhImpPhA=a32/TotVAh_SF TotVAhImpPhB=a32/TotVAh_SF TotVAhImpPhC=a32/TotVAh_SF
        TotVAh_SF=sf TotVArhImpQ1=a32/TotVArh_SF TotVArhImpQ1PhA=a32/TotVArh_SF
        TotVArhImpQ1PhB=a32/TotVArh_SF TotVArhImpQ1PhC=a32/TotVArh_SF TotVArhImpQ2=a32/TotVArh_SF
        TotVArhImpQ2PhA=a32/TotVArh_SF TotVArhImpQ2PhB=a32/TotVArh_SF TotVArhImpQ2PhC=a32/TotVArh_SF
        TotVArhExpQ3=a32/TotVArh_SF TotVArhExpQ3PhA=a32/TotVArh_SF TotVArhExpQ3PhB=a32/TotVArh_SF
        TotVArhExpQ3PhC=a32/TotVArh_SF TotVArhExpQ4=a32/TotVArh_SF TotVArhExpQ4PhA=a32/TotVArh_SF
        TotVArhExpQ4PhB=a32/TotVArh_SF TotVArhExpQ4PhC=a32/TotVArh_SF TotVArh_SF=sf Evt=b32
    """,
    701: """
        ACType=e16 St=e16 InvSt=e16 ConnSt=e16 Alrm=b32 DERMode=b32 W=i16/W_SF VA=i16/VA_SF
        Var=i16/Var_SF PF=i16/PF_SF A=i16/A_SF LLV=u16/V_SF LNV=u16/V_SF Hz=u32/Hz_SF
        TotWhInj=u64/TotWh_SF TotWhAbs=u64/TotWh_SF TotVarhInj=u64/TotVarh_SF
        TotVarhAbs=u64/TotVarh_SF TmpAmb=i16/Tmp_SF TmpCab=i16/Tmp_SF TmpSnk=i16/Tmp_SF
        TmpTrns=i16/Tmp_SF TmpSw=i16/Tmp_SF TmpOt=i16/Tmp_SF WL1=i16/W_SF VAL1=i16/VA_SF
        VarL1=i16/Var_SF PFL1=i16/PF_SF AL1=i16/A_SF VL1L2=u16/V_SF VL1=u16/V_SF
        TotWhInjL1=u64/TotWh_SF TotWhAbsL1=u64/TotWh_SF TotVarhInjL1=u64/TotVarh_SF
        TotVarhAbsL1=u64/TotVarh_SF WL2=i16/W_SF VAL2=i16/VA_SF VarL2=i16/Var_SF PFL2=i16/PF_SF
        AL2=i16/A_SF VL2L3=u16/V_SF VL2=u16/V_SF TotWhInjL2=u64/TotWh_SF TotWhAbsL2=u64/TotWh_SF
        TotVarhInjL2=u64/TotVarh_SF TotVarhAbsL2=u64/TotVarh_SF WL3=i16/W_SF VAL3=i16/VA_SF
        VarL3=i16/Var_SF PFL3=i16/PF_SF AL3=i16/A_SF VL3L1=u16/V_SF VL3=u16/V_SF
        TotWhInjL3=u64/TotWh_SF TotWhAbsL3=u64/TotWh_SF TotVarhInjL3=u64/TotVarh_SF
        TotVarhAbsL3=u64/TotVarh_SF ThrotPct=u16 ThrotSrc=b32 A_SF=sf V_SF=sf Hz_SF=sf W_SF=sf
        PF_SF=sf VA_SF=sf Var_SF=sf TotWh_SF=sf TotVarh_SF=sf Tmp_SF=sf MnAlrmInfo=s32
    """,
    702: """
        WMaxRtg=u16/W_SF WOvrExtRtg=u16/W_SF WOvrExtRtgPF=u16/PF_SF WUndExtRtg=u16/W_SF
        WUndExtRtgPF=u16/PF_SF VAMaxRtg=u16/VA_SF VarMaxInjRtg=u16/Var_SF VarMaxAbsRtg=u16/Var_SF
        WChaRteMaxRtg=u16/W_SF WDisChaRteMaxRtg=u16/W_SF VAChaRteMaxRtg=u16/VA_SF
        VADisChaRteMaxRtg=u16/VA_SF VNomRtg=u16/V_SF VMaxRtg=u16/V_SF VMinRtg=u16/V_SF
        AMaxRtg=u16/A_SF PFOvrExtRtg=u16/PF_SF PFUndExtRtg=u16/PF_SF ReactSusceptRtg=u16/S_SF
        NorOpCatRtg=e16 AbnOpCatRtg=e16 CtrlModes=b32 IntIslandCatRtg=b16 WMax=u16/W_SF
        WMaxOvrExt=u16/W_SF WOvrExtPF=u16/PF_SF WMaxUndExt=u16/W_SF WUndExtPF=u16/PF_SF
        VAMax=u16/VA_SF VarMaxInj=u16/Var_SF VarMaxAbs=u16/Var_SF WChaRteMax=u16/W_SF
        WDisChaRteMax=u16/W_SF VAChaRteMax=u16/VA_SF VADisChaRteMax=u16/VA_SF VNom=u16/V_SF
        VMax=u16/V_SF VMin=u16/V_SF AMax=u16/A_SF PFOvrExt=u16/PF_SF PFUndExt=u16/PF_SF
        IntIslandCat=b16 W_SF=sf PF_SF=sf VA_SF=sf Var_SF=sf V_SF=sf A_SF=sf S_SF=sf
    """,
    703: """
        ES=e16 ESVHi=u16/V_SF ESVLo=u16/V_SF ESHzHi=u32/Hz_SF ESHzLo=u32/Hz_SF ESDlyTms=u32
        ESRndTms=u32 ESRmpTms=u32 ESDlyRemTms=u32 V_SF=sf Hz_SF=sf
    """,
    704: """
        PFWInjEna=e16 PFWInjEnaRvrt=e16 PFWInjRvrtTms=u32 PFWInjRvrtRem=u32 PFWAbsEna=e16
        PFWAbsEnaRvrt=e16 PFWAbsRvrtTms=u32 PFWAbsRvrtRem=u32 WMaxLimPctEna=e16
        WMaxLimPct=u16/WMaxLimPct_SF WMaxLimPctRvrt=u16/WMaxLimPct_SF WMaxLimPctEnaRvrt=e16
        WMaxLimPctRvrtTms=u32 WMaxLimPctRvrtRem=u32 WSetEna=e16 WSetMod=e16 WSet=i32/WSet_SF
        WSetRvrt=i32/WSet_SF WSetPct=i16/WSetPct_SF WSetPctRvrt=i16/WSetPct_SF WSetEnaRvrt=e16
        WSetRvrtTms=u32 WSetRvrtRem=u32 VarSetEna=e16 VarSetMod=e16 VarSetPri=e16
        VarSet=i32/VarSet_SF VarSetRvrt=i32/VarSet_SF VarSetPct=i16/VarSetPct_SF
        VarSetPctRvrt=i16/VarSetPct_SF VarSetEnaRvrt=e16 VarSetRvrtTms=u32 VarSetRvrtRem=u32
        WRmp=u16 WRmpRef=e16 VarRmp=u16 AntiIslEna=e16 PF_SF=sf WMaxLimPct_SF=sf WSet_SF=sf
        WSetPct_SF=sf VarSet_SF=sf VarSetPct_SF=sf PFWInj.PF=u16/PF_SF PFWInj.Ext=e16
        PFWInjRvrt.PF=u16/PF_SF PFWInjRvrt.Ext=e16 PFWAbs.PF=u16/PF_SF PFWAbs.Ext=e16
        PFWAbsRvrt.PF=u16/PF_SF PFWAbsRvrt.Ext=e16
    """,
    713: """
        WHRtg=u16/WH_SF WHAvail=u16/WH_SF SoC=u16/Pct_SF SoH=u16/Pct_SF Sta=e16 WH_SF=sf Pct_SF=sf
    """,
    714: """
        PrtAlrms=b32 NPrt=u16 DCA=i16/DCA_SF DCW=i16/DCW_SF DCWhInj=u64/DCWH_SF DCWhAbs=u64/DCWH_SF
        DCA_SF=sf DCV_SF=sf DCW_SF=sf DCWH_SF=sf Tmp_SF=sf Prt.PrtTyp=e16 Prt.ID=u16 Prt.IDStr=s8
        Prt.DCA=i16/DCA_SF Prt.DCV=u16/DCV_SF Prt.DCW=i16/DCW_SF Prt.DCWhInj=u64/DCWH_SF
        Prt.DCWhAbs=u64/DCWH_SF Prt.Tmp=i16/Tmp_SF Prt.DCSta=e16 Prt.DCAlrm=b32
    """,
    # A maker's own model, to be skipped by its length.
    64204: "Secret=s6",
}
