# ruff: noqa: E501 - cells are lines of their own kind
"""The notebooks that test_restore.py runs. Letters say what the restarted kernel does with each
cell: R restores it, C recomputes it, E executes it, V runs it as a volatile one.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    sources: tuple[str, ...]
    letters: str
    check: str | None = None  # compared between kernels after all cells have run
    compared: bool = True  # whether the outputs are those of plain ipykernel to the byte

    @property
    def decided(self):
        words = {"R": "restored", "C": "recomputed", "E": "executed", "V": "volatile"}
        return [words[letter] for letter in self.letters]


STATE = {
    "imports first": Case(
        (
            "import asyncio, enum, functools, io, os, random, threading",
            "import numpy as np, pandas as pd",
        ),
        "RR",
        None,
    ),
    "finalizers": Case(
        (
            "import weakref\nclass FnA: pass\nfn_log=[]\ndef fn_gone(log, what): log.append(what)",
            "fn_o=FnA(); weakref.finalize(fn_o, fn_gone, fn_log, 'o');",
            "fn_before=len(fn_log)",
            "fn_o.changed=1",
            "del fn_o",
            "fn_after=list(fn_log)",
            "fn_p=FnA(); fn_q=weakref.finalize(fn_p, print, 'never shown')",
            "fn_p.more=2",
            "fn_q.detach();",
        ),
        "RCRCCRCCC",
        "(fn_before, fn_after, fn_log, fn_q.alive, fn_p.more)",
    ),
    "what has an end": Case(
        (
            "class EnA:\n    ends=[]\n    def __del__(s): EnA.ends.append(s.n)",
            "en_a=EnA(); en_a.n=1; en_b=EnA(); en_b.n=2",
            "del en_a",
            "en_ends=list(EnA.ends)",
            "en_b=None",
            "en_last=list(EnA.ends)",
        ),
        "RRRRRR",
        "(en_ends, en_last, EnA.ends)",
    ),
    "counted by a handler": Case(
        (
            "import logging\nclass RnH(logging.Handler):\n    n=0\n    def emit(s, r): s.n+=1",
            "logging.getLogger('rn').addHandler(RnH()); logging.getLogger('rn').propagate=False",
            "logging.getLogger('rn').warning('counted')",
            "rn_x=1",
            "rn_n=logging.getLogger('rn').handlers[0].n",
            "logging.getLogger('rn').handlers.clear()",
        ),
        "RCCRRC",
        "rn_n",
    ),
    "printed into a text": Case(
        (
            "import sys, io\nso_old=sys.stdout; sys.stdout=io.StringIO()",
            "print('hidden')",
            "so_x=1",
            "so_text=sys.stdout.getvalue(); sys.stdout=so_old",
        ),
        "CCRC",
        "so_text",
    ),
    "file handlers of one's own": Case(
        (
            "import logging\nclass FhA(logging.FileHandler): pass\nclass FhB(FhA):\n    said=0\n    def emit(s, r):\n        super().emit(r); s.said+=1",
            "fh_a=FhA('fh_a.log'); logging.getLogger('fh').addHandler(fh_a)\nlogging.getLogger('fh').propagate=False",
            "fh_b=FhB('fh_b.log', delay=True); logging.getLogger('fh.b').addHandler(fh_b)",
            "fh_x=[1]",
            "logging.getLogger('fh.b').warning('said')",
            "fh_said=fh_b.said",
            "for _h, _l in (fh_a,'fh'), (fh_b,'fh.b'): logging.getLogger(_l).removeHandler(_h); _h.close()",
        ),
        "RCCRCRC",
        "(fh_x, fh_said, fh_b.said)",
    ),
    "seaborn theme": Case(
        (
            "import seaborn as sns, matplotlib as mpl",
            "sns.set_theme(style='dark', palette='pastel')",
        ),
        "RR",
        "(mpl.colors.to_hex('b'), mpl.rcParams['axes.facecolor'])",
    ),
    "figure made again": Case(
        (
            "import matplotlib.pyplot as plt",
            "fig_a, ax_a = plt.subplots(figsize=(1, 1))\nax_a.plot([1, 2]);",
            "# evercell: volatile\nleft_open = plt.get_fignums(), len(ax_a.lines)",
        ),
        "RRV",
        "left_open",
    ),
    "library settings": Case(
        (
            "import xarray as xr\nfrom sympy import init_printing, sqrt",
            "xr.set_options(display_style='text');",
            "init_printing(use_unicode=False)",
        ),
        "RCC",
        "(xr.get_options()['display_style'],"
        " get_ipython().display_formatter.formatters['text/plain'](sqrt(2)))",
    ),
    "kept exceptions": Case(
        (
            "import traceback\nclass KeX(Exception):\n    def __init__(s, a, b): super().__init__(a); s.b=b\ndef ke_f(x):\n    try: return [x][0].apend\n    except AttributeError as e: raise KeX(1, 2) from e",
            "try: ke_f([])\nexcept KeX as ke_e: ke=ke_e; ke.add_note('note')",
            "ke_text=traceback.format_exception(ke)\nke_l=ke.__traceback__.tb_lineno",
            "async def ke_w(n): return 1/n\nke_r=await asyncio.gather(ke_w(1), ke_w(0), return_exceptions=True)",
        ),
        "RRRR",
        "(ke_text[-2:], [__import__('re').sub('ipykernel_[0-9]+', '', line) for line in traceback.format_exception(ke)], ke_l, ke.b, ke.__cause__.obj, ke.__cause__.name, ke.__notes__, [f.line for f in traceback.extract_tb(ke.__traceback__)], traceback.format_exception(ke_r[1])[2:], traceback.extract_tb(ke_r[1].__traceback__)[0].name)",
    ),
    "aliases of members": Case(
        (
            "class AmE(enum.Enum):\n    A=1\n    B=1\nclass AmF(enum.Flag):\n    R=1\n    W=2\n    RW=3\nclass AmP(enum.Enum):\n    E=(1, 2)\n    def __init__(s, m, r): s.m=m",
            "am=[AmE.B, AmF.RW, AmP.E]",
        ),
        "RR",
        "(list(AmE.__members__), AmE.B is AmE.A, AmE['B'] is am[0], list(AmF.__members__), AmF.RW is am[1], AmF(3) is am[1], am, AmP.E.m)",
    ),
    "weakly held": Case(
        (
            "import weakref\nclass WhO: pass\nwh_o=WhO(); wh_d=weakref.WeakValueDictionary(a=wh_o)",
            "wh_o.z=4",
            "wh_b=WhO(); wh_d['b']=wh_b",
        ),
        "CCC",
        "(wh_d['a'] is wh_o, wh_d['a'].z, wh_d['b'] is wh_b)",
    ),
    "names of the shell": Case(
        (
            "sh_keep=open\n__file__='nb.ipynb'\ndef exit(): return 'mine'",
            "def open(path): return 'my '+path",
            "sh_open=open(__file__), exit()",
            "del open",
            "sh_after=open is sh_keep or open.__module__",
        ),
        "RRRRR",
        "(sh_open, __file__, exit())",
    ),
    "nan": Case(
        ("nans={np.nan:1}; nan_=float('nan')", "nan_in=[nan_]; nan_at=[np.nan, np.nan]"),
        "RR",
        "(nans[np.nan], np.nan in nan_at, len(set(nan_at)), nan_ in nan_in)",
    ),
    "project state": Case(
        (
            'open(\'adlib.py\',\'w\').write(\'import contextvars, functools, threading\\nclass Meta:\\n    level=0\\nclass Client:\\n    made=[]\\n    def __init__(s): Client.made.append(1)\\n_cv=contextvars.ContextVar("cv", default=0)\\n_tl=threading.local()\\nHELD={"lock": threading.Lock(), "n": 0}\\n@functools.lru_cache\\ndef cached(n): return object()\\ndef mk():\\n    n=0\\n    def inc():\\n        nonlocal n; n+=1; return n\\n    return inc\\ncounter=mk()\\ndef meta(v): Meta.level=v\\ndef cv(v): _cv.set(v)\\ndef tl(v): _tl.v=v\\ndef held(): HELD["n"]+=1\\n\');',
            "import adlib",
            "adlib.meta(3)",
            "adlib.Client();",
            "adlib.cv(3)",
            "adlib.tl(3)",
            "adlib.held()",
            "adlib.counter();",
            "adlib.cached(1);",
            "adlib_seen=adlib.Meta.level",
        ),
        "RRCCCCCCCR",
        "(adlib.Meta.level, adlib.Client.made, adlib._cv.get(), adlib._tl.v, adlib.HELD['n'], adlib.counter(), adlib.cached.cache_info().currsize, adlib_seen)",
    ),
    "imported and changed": Case(
        (
            "open('adlib4.py','w').write('SET=dict()\\ndef configure(**k): SET.update(k)\\ndef load(): return [1]\\n')\nopen('adlib5.py','w').write('import adlib4\\nadlib4.SET[1]=2\\n');",
            "from adlib5 import adlib4\nimc_l=adlib4.load()",
            "open('adlib6.py','w').write('S=set()\\ndef add(x): S.add(x)\\n');",
            "import adlib6\nadlib6.add(3)",
        ),
        "RRRC",
        "(imc_l, adlib4.SET, adlib6.S)",
    ),
    "handler set up": Case(
        (
            "import logging\nhsl=logging.getLogger('hs')\nhsh=logging.NullHandler()\nhsl.addHandler(hsh)",
            "hsh.setFormatter(logging.Formatter('%(message)s'))",
            "hs_z=1",
        ),
        "CCR",
        "(len(hsl.handlers), hsl.handlers[0].formatter._fmt, hs_z)",
    ),
    "duckdb's default connection": Case(
        (
            "import duckdb, pandas as pd\ndk_csv=open('dk.csv','w').write('a\\n1\\n2\\n')",
            "dk_f=pd.DataFrame({'a':[5]})\ndk_q=duckdb.sql(\"select sum(a) from 'dk.csv'\").fetchall()\ndk_e=duckdb.execute('select * from dk_f').fetchall()",
            "duckdb.sql('create temp table dk_t(a int)')",
            "duckdb.execute('insert into dk_t values (4)').fetchall();",
            "def dk_sum(): return duckdb.sql('select sum(a) from dk_t').fetchall()\ndk_s=dk_sum()",
            "dk_z=1",
            "duckdb.sql('drop table dk_t')",
            "duckdb.sql('set variable dk_v=7')",
        ),
        "RRCCCRCC",
        "(dk_q, dk_e, dk_s, dk_z, duckdb.sql(\"select getvariable('dk_v')\").fetchall())",
    ),
    "interpreter settings": Case(
        (
            "import os, sys, time, csv, mimetypes, resource, faulthandler, asyncio",
            "sys.setswitchinterval(0.01)\nsys.set_int_max_str_digits(9000)\nfaulthandler.enable()\nthreading.stack_size(2**24)",
            "os.umask(0o027)\nresource.setrlimit(resource.RLIMIT_NOFILE,(999,resource.getrlimit(resource.RLIMIT_NOFILE)[1]))",
            "os.environ['TZ']='Asia/Tokyo'; time.tzset()",
            "asyncio.get_running_loop().slow_callback_duration=0.7",
            "csv.register_dialect('ev', delimiter='|')\nmimetypes.add_type('a/b','.evx')",
        ),
        "RRRRRR",
        "(threading.stack_size(), round(sys.getswitchinterval(),3), sys.get_int_max_str_digits(), faulthandler.is_enabled(), os.umask(0o027), resource.getrlimit(resource.RLIMIT_NOFILE)[0], time.tzname[0], asyncio.get_running_loop().slow_callback_duration, csv.get_dialect('ev').delimiter, mimetypes.guess_type('q.evx')[0])",
    ),
    "interpreter hooks": Case(
        (
            "import codecs, copyreg, sys, sqlite3, decimal, asyncio, logging, io",
            "class HkF:\n    def find_spec(s,n,p,t=None): return None\nsys.meta_path.append(HkF())",
            "class HkC: pass\ncopyreg.pickle(HkC, lambda o: (HkC,()))",
            "sqlite3.register_adapter(decimal.Decimal, str)",
            "codecs.register(lambda n: codecs.lookup('utf-8') if n=='evcodec' else None)",
            "np.seterrcall(lambda *a: None);",
            "asyncio.get_running_loop().set_exception_handler(lambda l,c: None)",
            "logging.getLogger('hk.a').addHandler(logging.StreamHandler(io.StringIO()))",
            "hk_z=1",
        ),
        "RCCCCCCCR",
        "(type(sys.meta_path[-1]).__name__, HkC in copyreg.dispatch_table, sqlite3.connect(':memory:').execute('select ?',(decimal.Decimal('1.5'),)).fetchone(), b'a'.decode('evcodec'), callable(np.geterrcall()), asyncio.get_running_loop().get_exception_handler() is not None, len(logging.getLogger('hk.a').handlers))",
    ),
    "set up in a function": Case(
        (
            "import altair as alt",
            "def su_f(): alt.data_transformers.disable_max_rows()",
            "su_f()",
        ),
        "RRC",
        "alt.data_transformers.options",
    ),
    "alias": Case(
        ("a1=[1]; a2={'k':a1}", "a3=a1", "a3.append(2)", "a2['k'].append(3)"),
        "RRRR",
        "(a1,a2,a3,a1 is a3, a2['k'] is a1)",
    ),
    "mutate method": Case(
        (
            "class MM:\n    def __init__(s): s.x=[]\n    def add(s,v): s.x.append(v); return s",
            "mm=MM()",
            "mm.add(1)\nNone",
            "mm.add(2);",
        ),
        "RRRR",
        "(mm.x,type(mm) is MM)",
    ),
    "closure": Case(
        (
            "def mk():\n    n=0\n    def inc():\n        nonlocal n\n        n+=1\n        return n\n    def get(): return n\n    return inc,get\ncinc,cget=mk()",
            "cinc()",
            "cinc();",
        ),
        "RRR",
        "(cget(),cinc(),cget())",
    ),
    "loopclosures": Case(
        (
            "lcs=[lambda i=i:i for i in range(3)]\nlcl=[]\nfor _k in range(3): lcl.append(lambda: _k)",
        ),
        "R",
        "([f() for f in lcs],[f() for f in lcl])",
    ),
    "redef": Case(
        (
            "class RD:\n    def v(self): return 1",
            "rd1=RD()",
            "class RD:\n    def v(self): return 2",
            "rd2=RD()",
        ),
        "RRRR",
        "(rd1.v(),rd2.v(),type(rd1) is RD,type(rd2) is RD,isinstance(rd1,RD))",
    ),
    "sub": Case(
        ("class SB:\n    z=[1]", "class SD(SB):\n    pass\nsd=SD()", "SB.z.append(2)", "SB.w=5"),
        "RRRR",
        "(sd.z,sd.w,SD.z is SB.z,isinstance(sd,SB))",
    ),
    "enum": Case(
        (
            "import enum\nclass Color(enum.Enum):\n    R=1\n    G=2",
            "ecol=[Color.R,Color.G]",
            "eset={Color.R:3}",
        ),
        "RRR",
        "(ecol[0] is Color.R, eset[Color.R], Color(2) is ecol[1])",
    ),
    "dc": Case(
        (
            "from dataclasses import dataclass,field\n@dataclass\nclass DC:\n    a:int\n    b:list=field(default_factory=list)",
            "dc=DC(1)",
            "dc.b.append(dc.a)",
            "dcs={DC:1}",
        ),
        "RRRR",
        "(repr(dc),dc==DC(1,[1]),dcs[DC])",
    ),
    "pyd": Case(
        (
            "from pydantic import BaseModel\nclass PM(BaseModel):\n    x:int\n    y:list[int]=[]",
            "pm=PM(x='3')",
            "pm.y.append(4)",
        ),
        "RRR",
        "(pm.model_dump(),type(pm) is PM, PM(x=1).x)",
    ),
    "deco": Case(
        (
            "import functools\ndef dec(f):\n    calls=[]\n    @functools.wraps(f)\n    def w(*a):\n        calls.append(a)\n        return f(*a)\n    w.calls=calls\n    return w",
            "@dec\ndef dfn(x): return x+1",
            "dfn(1);",
            "dfn(5);",
        ),
        "RRRR",
        "(dfn(7),dfn.calls,dfn.__name__)",
    ),
    "globfn": Case(
        (
            "gcount=0\ndef gbump():\n    global gcount\n    gcount+=1",
            "gbump()",
            "gbump()",
            "gx=gcount*10",
        ),
        "RRRR",
        "(gcount,gx)",
    ),
    "rebindg": Case(("gk=2\ndef usegk(): return gk", "gk=3"), "RR", "usegk()"),
    "importstar": Case(("from math import *",), "R", "(round(sin(1),5),)"),
    "imports": Case(
        (
            "import json as js, os.path\nfrom collections import Counter,deque",
            "cnt=Counter('abca')",
            "dq=deque([1],maxlen=2); dq.append(2);dq.append(3)",
        ),
        "RRR",
        "(cnt,list(dq),dq.maxlen,js.dumps([1]),os.path.sep)",
    ),
    "cwdenv": Case(
        (
            "import os\nos.environ['HUNT']='1'\nos.makedirs('sub',exist_ok=True)\nos.chdir('sub')",
            "os.environ.pop('HUNT2',None);cw=os.path.basename(os.getcwd())",
            "os.chdir('..')\nos.environ['HUNT3']='x'",
        ),
        "RRR",
        "(os.environ.get('HUNT'),os.environ.get('HUNT3'),cw,os.path.basename(os.getcwd())!='sub')",
    ),
    "random": Case(
        (
            "import random\nrandom.seed(3)\nnp.random.seed(4)",
            "r1=random.random()\nr2=np.random.rand()",
            "rng=np.random.default_rng(5)",
            "r3=rng.random()",
        ),
        "RRRR",
        "(r1,r2,r3,random.random(),np.random.rand(),rng.random())",
    ),
    "defaults": Case(
        ("def dfl(x=[]):\n    x.append(1)\n    return len(x)", "dfl()", "dfl()"),
        "RRR",
        "dfl()",
    ),
    "pdopt": Case(
        (
            "import pandas as pd\npd.options.display.max_rows=7\npd.set_option('display.precision',3)",
        ),
        "R",
        "(pd.options.display.max_rows,pd.get_option('display.precision'))",
    ),
    "cycle": Case(("cy=[];cy.append(cy);cz={'c':cy}",), "R", "(cy[0] is cy, cz['c'] is cy)"),
    "async": Case(
        ("import asyncio\nasync def af(x): await asyncio.sleep(0); return x*2", "aw=await af(4)"),
        "RR",
        "(aw,asyncio.iscoroutinefunction(af))",
    ),
    "nt": Case(
        (
            "from collections import namedtuple,defaultdict\nfrom typing import NamedTuple\nNT=namedtuple('NT','a b')\nclass NT2(NamedTuple):\n    q:int=1",
            "nt=[NT(1,2),NT2()]\ndd=defaultdict(list);dd['x'].append(1)",
        ),
        "RR",
        "(nt,type(nt[0]) is NT,type(nt[1]) is NT2,dd['x'],dd['new'])",
    ),
    "mutfn": Case(
        ("mlist=[1]\ndef mut(): mlist.append(len(mlist))", "mut()", "mut()"), "RRR", "mlist"
    ),
    "fnattr": Case(("def fa(): pass\nfa.count=0", "fa.count+=1", "fa.count+=1"), "RRR", "fa.count"),
    "swap": Case(("sw1=[1];sw2=[2]", "sw1,sw2=sw2,sw1"), "RR", "(sw1,sw2)"),
    "aug": Case(("au=[1];av=au", "au+=[2]"), "RR", "(au is av,av)"),
    "prop": Case(
        (
            "class PP:\n    def __init__(s): s._v=1\n    @property\n    def v(s): return s._v\n    @v.setter\n    def v(s,x): s._v=x",
            "pp=PP()",
            "pp.v=9",
        ),
        "RRR",
        "pp.v",
    ),
    "slots": Case(
        ("class SL:\n    __slots__=('a','b')", "sl=SL(); sl.a=1"),
        "RR",
        "(sl.a,hasattr(sl,'b'))",
    ),
    "slotref": Case(("sl.b=[sl.a]",), "R", "sl.b"),
    "abc": Case(
        (
            "import abc\nclass AB(abc.ABC):\n    @abc.abstractmethod\n    def f(self):...",
            "class AC(AB):\n    def f(self): return super().__class__.__name__",
            "ac=AC()",
        ),
        "RRR",
        "(ac.f(),isinstance(ac,AB))",
    ),
    "generic": Case(
        (
            "from typing import Generic,TypeVar,Protocol\nTT=TypeVar('TT')\nclass GB(Generic[TT]):\n    def __init__(s,x:TT): s.x=x",
            "gb=GB[int](3)",
        ),
        "RR",
        "(gb.x,isinstance(gb,GB))",
    ),
    "flag": Case(
        ("class FL(enum.Flag):\n    A=1\n    B=2\nfl=FL.A|FL.B",),
        "R",
        "(fl==FL.A|FL.B, fl)",
    ),
    "exc": Case(
        (
            "class MyE(ValueError):\n    def __init__(s,a,b): super().__init__(a); s.b=b\ntry:\n    raise MyE(1,2)\nexcept MyE as e:\n    saved=e",
            "sb=saved.b",
        ),
        "RR",
        "(saved.b,saved.args,type(saved) is MyE)",
    ),
    "dtm": Case(
        (
            "import datetime as dtt,decimal,fractions,re,pathlib,uuid\ndtx=[dtt.datetime(2020,1,1,tzinfo=dtt.timezone.utc),decimal.Decimal('1.10'),fractions.Fraction(1,3),re.compile('a+'),pathlib.Path('x/y'),uuid.UUID(int=5),range(3),slice(1,2),...,NotImplemented,float('nan'),1j,b'x',bytearray(b'y'),memoryview(b'z')]",
        ),
        "R",
        "([repr(x)[:20] for x in dtx[:-1]])",
    ),
    "threaded": Case(
        (
            "import threading\nthl=[]\ndef thw(): thl.append(1)\nth=threading.Thread(target=thw);th.start();th.join()",
        ),
        "C",
        "thl",
    ),
    "forvar": Case(("for fv in [1,2,3]: fw=fv",), "R", "(fv,fw)"),
    "sio": Case(
        ("sb1=io.StringIO('abc')\nsb1.read(1)", "sb2=sb1.read(1)"), "RR", "(sb2,sb1.read())"
    ),
    "iters": Case(("it=iter([1,2,3])", "i1=next(it)", "i2=next(it)"), "RRR", "(i1,i2,list(it))"),
    "gens": Case(
        ("gg=(x*x for x in range(5))", "g1=next(gg)", "g2=next(gg)"),
        "RCC",
        "(g1,g2,list(gg))",
    ),
    "lock": Case(("lk=threading.Lock()", "with lk: lv=1"), "RR", "(lv,lk.locked())"),
    "fileappend": Case(
        (
            "fw_=open('w.txt','w');fw_.write('one\\n');fw_.flush()",
            "fw_.write('two\\n');fw_.close()",
        ),
        "CC",
        "open('w.txt').read()",
    ),
    "fileread": Case(
        ("open('r.txt','w').write('abc')\nfr=open('r.txt')", "fr1=fr.read(1)", "fr2=fr.read(1)"),
        "CCC",
        "(fr1,fr2,fr.read())",
    ),
    "sqlite": Case(
        (
            "import sqlite3\ndb=sqlite3.connect(':memory:')\ndb.execute('create table t(a)');",
            "db.execute('insert into t values(1)');",
            "sq=db.execute('select count(*) from t').fetchone()[0]",
        ),
        "CCC",
        "(sq,db.execute('select count(*) from t').fetchone()[0])",
    ),
    "weakref": Case(
        ("import weakref\nclass WO: pass\nwo=WO()\nwr=weakref.ref(wo)",),
        "C",
        "wr() is wo",
    ),
    "type3": Case(("TY=type('TY',(),{'v':1})\nty=TY()",), "R", "(ty.v,type(ty) is TY)"),
    "nested": Case(
        (
            "def outer_():\n    global og\n    og=['g']\n    def inner_(): og.append(1)\n    return inner_\noin=outer_()",
            "oin()",
        ),
        "RR",
        "og",
    ),
    "npstruct": Case(
        ("nr=np.zeros(3,dtype=[('a','i4'),('b','f8')])\nnrb=nr['b']", "nrb[1]=5"),
        "RR",
        "(nr.tolist(),)",
    ),
    "log handlers": Case(
        ("import logging\nlogging.basicConfig(level=10)", "level = logging.root.level"),
        "CR",
        "level",
    ),
    "warnlog": Case(
        (
            "import warnings,logging\nwarnings.simplefilter('error',UserWarning)\nlogging.getLogger('hunt').setLevel(15)",
        ),
        "R",
        "(logging.getLogger('hunt').level,warnings.filters[0][0],warnings.filters[0][2].__name__)",
    ),
    "df": Case(
        (
            "df=pd.DataFrame({'a':[1,2,3]})",
            "df['b']=df.a*2",
            "dfv=df[df.a>1]\nser=df['a']",
            "df.loc[0,'a']=9",
        ),
        "RRRR",
        "(df.to_dict(),dfv.to_dict(),ser.tolist())",
    ),
    "classattr": Case(
        (
            "class CA:\n    n=0\n    reg={}\n    @classmethod\n    def up(cls): cls.n+=1\n    def __init_subclass__(cls): CA.reg[cls.__name__]=cls",
            "CA.up()",
            "class CB(CA): pass",
        ),
        "RRC",
        "(CA.n,CA.reg['CB'] is CB)",
    ),
    "client": Case(
        (
            "class Client:\n    def __init__(s): s.lock = threading.Lock(); s.n = 0\n    def go(s): s.n += 1; return s.n",
            "cli = Client()",
            "first = cli.go()",
        ),
        "RRC",
        "(first, cli.n)",
    ),
    "withas": Case(
        ("import io\nwith io.StringIO() as sio:\n    sio.write('x')\n    sv=sio.getvalue()",),
        "C",
        "(sv,sio.closed)",
    ),
    "clsinst": Case(
        ("class K1: pass\nk1=K1()", "K1.kk=1", "k2=[k1]"),
        "RRR",
        "(k1.kk,type(k1) is K1,k2[0] is k1)",
    ),
    "fnlist": Case(
        ("def fl1(): pass\nfl1.n=0\nfls=[fl1]", "fl1.n=5"),
        "RR",
        "(fls[0] is fl1, fls[0].n)",
    ),
    "genalias": Case(
        ("gd=[1,2,3]\nge=(x for x in gd)", "ge1=next(ge)", "gd.append(4)"),
        "RCC",
        "(ge1,list(ge),gd)",
    ),
    "genalias2": Case(("gd2=[1,2,3]", "ge2=(x for x in gd2)", "gd2.append(4)"), "RRR", "list(ge2)"),
    "iteralias": Case(("ia=[1,2,3]\nii=iter(ia)", "next(ii)", "ia.append(4)"), "RRR", "list(ii)"),
    "clialias": Case(
        (
            "import threading\nclass C2:\n    def __init__(s,cfg): s.lock=threading.Lock(); s.cfg=cfg\ncfg={'a':1}\nc2=C2(cfg)",
            "cfg['b']=2",
        ),
        "CC",
        "(c2.cfg is cfg,c2.cfg)",
    ),
    "initsub": Case(
        (
            "class IS:\n    reg=[]\n    def __init_subclass__(cls): IS.reg.append(cls)",
            "class IT(IS): pass",
            "IS.reg[0].x=1",
        ),
        "RCC",
        "(IS.reg[0] is IT, IT.x, len(IS.reg))",
    ),
    "tmpdir": Case(
        (
            "import tempfile,os\ntd=tempfile.mkdtemp()\nopen(os.path.join(td,'f'),'w').write('x');",
            "tf=open(os.path.join(td,'f')).read()",
        ),
        "RR",
        "tf",
    ),
    "proc": Case(
        (
            "import subprocess\npr=subprocess.Popen(['cat'],stdin=subprocess.PIPE,stdout=subprocess.PIPE)",
            "po=pr.communicate(b'hi')[0]",
        ),
        "CC",
        "(po,pr.returncode)",
    ),
    "ctxvar": Case(
        (
            "import contextvars\ncv=contextvars.ContextVar('cv',default=1)",
            "cv.set(5);",
            "cvv=cv.get()",
        ),
        "CCC",
        "(cvv,)",
    ),
    "decctx": Case(
        ("import decimal\ndecimal.getcontext().prec=5",),
        "R",
        "decimal.getcontext().prec",
    ),
    "npview2": Case(
        ("m=np.zeros((3,3))\nrow=m[0]\nmT=m.T", "row[1]=5"),
        "RR",
        "(m.tolist(),mT.tolist(),np.shares_memory(row,m))",
    ),
    "catseries": Case(
        (
            "cs=pd.Series(['a','b'],dtype='category')\nidx=pd.MultiIndex.from_product([[1,2],['x']])\nts=pd.date_range('2020',periods=2,tz='UTC')",
        ),
        "R",
        "(cs.tolist(),list(idx),str(ts))",
    ),
    "views": Case(
        ("import numpy as np\nnv=np.arange(10)", "nw=nv[2:5]", "nw[:]=-1"),
        "RRR",
        "(nv.tolist(), nw.tolist(), np.shares_memory(nv, nw))",
    ),
    "cache": Case(("@functools.lru_cache\ndef lc(n): return n*2", "lc(3)"), "RC", "lc(3)"),
    "modattr": Case(("import string\nstring.my_attr=5",), "C", "getattr(string,'my_attr',None)"),
    "monkey": Case(
        ("import textwrap\n_orig=textwrap.dedent\ntextwrap.dedent=lambda s:'patched'",),
        "C",
        "textwrap.dedent(' x')",
    ),
    "dfmethod": Case(
        ("import pandas as pd\ndef shout(self): return 'S'\npd.DataFrame.shout=shout",),
        "C",
        "pd.DataFrame({}).shout()",
    ),
    "jsonenc": Case(
        ("import json\njson.JSONEncoder.default=lambda s,o:'enc'",),
        "C",
        "json.dumps({1:object})",
    ),
    "setattr": Case(("import string\nsetattr(string,'foo',1)",), "C", "getattr(string,'foo',None)"),
    "patch fn2": Case(
        ("import textwrap\ndef patch2():\n    textwrap.bar=1", "patch2()"),
        "RC",
        "hasattr(textwrap,'bar')",
    ),
    "sysattr": Case(
        ("import sys\nsys.my_flag=3\nsys.path.insert(0,'/nope')",),
        "C",
        "(sys.path[0],getattr(sys,'my_flag',None))",
    ),
    "logger's filter": Case(
        (
            "import logging\nsifted=[]\ndef sift(r): sifted.append(r.getMessage()); return True\nlogging.getLogger('sift').addFilter(sift)",
            "logging.getLogger('sift').info('no'); logging.getLogger('sift').critical('yes')",
            "logging.getLogger('sift').removeFilter(sift)",
        ),
        "CRC",
        "sifted",
    ),
    "filter over a list": Case(
        (
            "def make_sieve():\n    kept=[]\n    def sieve(r): kept.append(r.getMessage()); return False\n    return sieve, kept\nsieve, sieved=make_sieve()",
            "logging.getLogger('sieve').addFilter(sieve)",
            "logging.getLogger('sieve').critical('one')",
            "beside_sieve=[len(sieved)]",
            "logging.getLogger('sieve').removeFilter(sieve)",
        ),
        "RCCRC",
        "(sieved, sieve(logging.LogRecord('a',1,'p',1,'two',(),None)), sieved, beside_sieve)",
    ),
    "notebook's handler": Case(
        (
            "class Keeping(logging.Handler):\n    def __init__(s): super().__init__(); s.kept=[]\n    def emit(s,r): s.kept.append(r.getMessage())\nkeeping=Keeping(); logging.getLogger('keep').addHandler(keeping)",
            "logging.getLogger('keep').critical('hello')",
            "logging.getLogger('keep').removeHandler(keeping)",
        ),
        "CCC",
        "keeping.kept",
    ),
    "handler's stream": Case(
        (
            "log_text=io.StringIO()\nto_text=logging.StreamHandler(log_text); logging.getLogger('text').addHandler(to_text)",
            "logging.getLogger('text').critical('hello')",
            "logging.getLogger('text').removeHandler(to_text)",
        ),
        "CCC",
        "log_text.getvalue()",
    ),
    "showwarning": Case(
        (
            "import warnings\nwarned=[]\nshow_before=warnings.showwarning\ndef shows(m,*a,**k): warned.append(str(m))\nwarnings.showwarning=shows",
            "warnings.warn('zip', FutureWarning)",
            "warnings.showwarning=show_before",
        ),
        "CRC",
        "warned",
    ),
    "patched function": Case(
        (
            "import json\ncounted={'n':0}\njson_dumps=json.dumps\ndef counting(*a,**k):\n    counted['n']+=1\n    return json_dumps(*a,**k)\njson.dumps=counting",
            "import json as json_too\ndumped=json_too.dumps([1])",
            "json.dumps=json_dumps",
        ),
        "CRC",
        "(counted, json.dumps is json_dumps)",
    ),
    "list of a module": Case(
        (
            "import string as a_module\nhooked=[]\na_module.hooks=[]",
            "a_module.hooks.append(lambda v: hooked.append(v))",
            "import string as same_module\nsame_module.hooks[0](1)",
            "del a_module.hooks",
        ),
        "CCRC",
        "hooked",
    ),
    "loop's handler": Case(
        (
            "faults=[]\nasyncio.get_running_loop().set_exception_handler(lambda l,c: faults.append(1))",
            "asyncio.get_running_loop().call_exception_handler({'message':'m'})",
            "asyncio.get_running_loop().set_exception_handler(None)",
        ),
        "CRC",
        "faults",
    ),
    "signal's handler": Case(
        (
            "import signal\nsignals=[]\nsignal_before=signal.signal(signal.SIGUSR1, lambda *a: signals.append(1))",
            "os.kill(os.getpid(), signal.SIGUSR1)",
            "signal.signal(signal.SIGUSR1, signal_before);",
        ),
        "CRC",
        "signals",
    ),
    "project's registry": Case(
        (
            "open('registry.py','w').write('KNOWN=[]\\ndef register(f): KNOWN.append(f)\\ndef run(): [f() for f in KNOWN]\\n');",
            "import registry\nruns=[]\ndef registered(): runs.append(len(runs))\nregistry.register(registered)",
            "registry.run()",
            "registry.run()",
            "registry.KNOWN.clear()",
        ),
        "RCRRC",
        "runs",
    ),
}

OUTPUTS = {
    "prints": Case(
        (
            "print('a'); print('b', end='')",
            "import sys\nprint('err', file=sys.stderr)",
            "import time\nfor i in range(3):\n    print(i); time.sleep(0.01); print(i, file=sys.stderr)",
        ),
        "RRR",
    ),
    "displays": Case(
        (
            "from IPython.display import HTML, Markdown, clear_output, display\ndisplay(HTML('<b>x</b>'), Markdown('*m*'))",
            "display({'text/plain': 'raw'}, raw=True)",
            "h = display('one', display_id='hunt-1')",
            "h.update('two')",
        ),
        "RRRR",
    ),
    "reprs": Case(
        (
            "1 + 1",
            "'text'",
            "[1, 'a', None]",
            "{'k': {1, 2}}",
            "None",
            "3;",
            "a, b = 1, 2\na; b",
            "if True:\n    5",
            "class R:\n    def _repr_html_(s): return '<i>r</i>'\n    def __repr__(s): return 'R()'\nR()",
            "display(R(), metadata={'text/html': {'isolated': True}})",
        ),
        "RRRRRRRRRR",
    ),
    "nothing": Case(("# comment", "x = 1"), "RR"),
    "tables and arrays": Case(
        (
            "import numpy as np, pandas as pd\npd.DataFrame({'a': [1, 2], 'b': ['x', 'y']})",
            "np.arange(20).reshape(4, 5)",
        ),
        "RR",
    ),
    "errors": Case(
        (
            "1/0",
            "print('before'); raise ValueError('v')",
            "def broken(:",
            "assert False, 'msg'",
            "undefined_name",
            "raise SystemExit",
        ),
        "EEEEEE",
    ),
    "error in a restored function": Case(
        (
            "def f(x):\n    def g():\n        return 1 / x\n    return g()",
            "class A:\n    def m(self):\n        return f(0)",
            "A().m()",
        ),
        "RRE",
    ),
    "await": Case(("import asyncio\nawait asyncio.sleep(0.01)\n'awaited'",), "R"),
    "figure": Case(
        (
            "%matplotlib inline",
            "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3]);",
            "fig, ax = plt.subplots(figsize=(1, 1))\nax.plot([1, 2])\nfig",
            "del fig, ax",
        ),
        "CRRR",
    ),
    "carriage returns": Case(
        (
            "for i in range(5): print(f'\\r{i}/5', end='')",
            "for i in range(3):\n    clear_output(wait=True); print(i)",
        ),
        "RR",
    ),
    "processes": Case(
        (
            "%%bash\necho from bash; echo err >&2",
            "!echo shell",
            "lines = !echo list\nlines",
            "%%script cat\nbody",
            "%%python\nprint('py')",
        ),
        "RRRRR",
    ),
    "long": Case(("print('x' * 200_000)",), "R"),
    "shown by magics": Case(
        (
            "%%html\n<b>h</b>",
            "%%latex\n$x$",
            "%%javascript\nalert",
            "%%capture cap\nprint('captured'); 5",
            "cap.stdout",
            "cap.show()",
            "%who_ls R",
        ),
        "RRRRRRR",
    ),
    # Plain ipykernel reads what they write on a thread, and may show it below a later cell; so no
    # case behind this one is compared with it before some more cells have run.
    "processes that write by themselves": Case(
        (
            "import subprocess\nr = subprocess.run('echo sub', shell=True)",
            "import os\n_ = os.system('echo sys')",
        ),
        "RR",
        compared=False,
    ),
    "state by magics": Case(
        (
            "%env HUNT=9",
            "%env HUNT",
            "%cd -q /tmp",
            "%pwd",
            "os.getcwd()",
            "%cd -q -",
            "%run script.py",
            "script_var",
            "%%writefile hunt.txt\nfile",
            "open('hunt.txt').read()",
        ),
        "RRRRRRRRRR",
        compared=False,
    ),
    "shell magics": Case(
        (
            "%precision 3",
            "1 / 3.0",
            "%xmode Plain",
            "1/0  # plain",
            "%xmode Context",
            "%config InlineBackend.figure_format = 'svg'",
            "%alias hunta echo hi",
            "%hunta",
            "%load_ext autoreload",
            "%autoreload 0",
            "get_ipython().ast_node_interactivity = 'all'",
            "1\n2",
            "get_ipython().ast_node_interactivity = 'last_expr'",
            "from IPython.core.magic import register_line_magic\n@register_line_magic\ndef hunted(line): return line * 2",
            "%hunted ab",
        ),
        "CRCECCCCCCCRCCC",
    ),
    "timed": Case(("%%timeit -n1 -r1\npass", "%time 5", "%%time\nz = 5"), "RRR", compared=False),
    "earlier outputs": Case(("['kept']", "_", "Out[8]"), "RRR", compared=False),
    "pager": Case(("print?", "%pinfo x"), "EE"),
    "input": Case(("try:\n    input()\nexcept Exception as e: print(type(e).__name__)",), "R"),
    "volatile": Case(
        ("%%evercell volatile\nprint('vol')", "# evercell: volatile\nprint('vol2')"),
        "VV",
        compared=False,
    ),
}

EDITS_FIRST = 'from evercell import step\n@step\ndef ask(q):\n    open("ledger.txt", "a").write(q + "\\n")\n    return q + "!"\n'

# name -> (cells before, cells after, what is compared, restored after the edit, and by the third
# kernel not restored)
EDITS = {
    "cosmetic": (
        {"a": "ca=[1,2]", "b": "cb=sum(ca)", "c": "cc=ask('cos'+str(cb))"},
        {"a": "ca = [1, 2]  # note", "b": "cb=sum(ca)", "c": "cc=ask('cos'+str(cb))"},
        "(ca,cb,cc)",
        ["a", "b", "c"],
        [],
    ),
    "name of the shell": (
        {"a": "def quit(): return 1", "b": "sh_b=callable(quit)", "c": "sh_c=1"},
        {"a": "def quit(): return 2", "b": "sh_b=callable(quit)", "c": "sh_c=1"},
        "(sh_b, sh_c, quit())",
        ["c"],
        [],
    ),
    "folder": (
        {
            "a": "import os\nos.makedirs('fold', exist_ok=True)",
            "b": "fo_b=sorted(os.listdir('fold'))",
            "c": "fo_c=os.path.exists('fo_new.txt')",
        },
        {
            "a": "import os\nos.makedirs('fold', exist_ok=True)",
            "x": "open('fold/new', 'w').close()\nopen('fo_new.txt', 'w').close()",
            "b": "fo_b=sorted(os.listdir('fold'))",
            "c": "fo_c=os.path.exists('fo_new.txt')",
        },
        "(fo_b, fo_c)",
        ["a"],
        [],
    ),
    "folder filled below": (
        {
            "a": "import os\nos.makedirs('fold2', exist_ok=True)",
            "b": "fb_b=sorted(os.listdir('fold2'))",
            "c": "open('fold2/out', 'w').close()",
        },
        {
            "a": "import os\nos.makedirs('fold2', exist_ok=True)",
            "b": "fb_b=sorted(os.listdir('fold2'))",
            "c": "open('fold2/out', 'w').close()",
        },
        "fb_b",
        ["a", "b", "c"],
        [],
    ),
    "same value": (
        {"a": "va=2+2", "b": "vb=va*2; print(vb)"},
        {"a": "va=4", "b": "vb=va*2; print(vb)"},
        "(va,vb)",
        ["b"],
        [],
    ),
    "real": (
        {"a": "ra=['p','q']", "b": "rb=[ask('real '+x) for x in ra]", "c": "rc=len(rb)"},
        {"a": "ra=['p','q','s']", "b": "rb=[ask('real '+x) for x in ra]", "c": "rc=len(rb)"},
        "(ra,rb,rc)",
        [],
        [],
    ),
    "reorder": (
        {"a": "oa=1", "b": "ob=[oa]", "c": "ob.append(oa)\noa+=1", "d": "ob.append('d')"},
        {"a": "oa=1", "b": "ob=[oa]", "d": "ob.append('d')", "c": "ob.append(oa)\noa+=1"},
        "(oa,ob)",
        ["a", "b"],
        [],
    ),
    "delete": (
        {"a": "da=[1]", "b": "da.append(2)", "c": "dc=list(da)"},
        {"a": "da=[1]", "c": "dc=list(da)"},
        "(da,dc)",
        ["a"],
        [],
    ),
    "delete def": (
        {"a": "def dd(): return 1", "b": "def dd(): return 2", "c": "de=dd()"},
        {"a": "def dd(): return 1", "c": "de=dd()"},
        "de",
        ["a"],
        [],
    ),
    "insert": (
        {"a": "ia=[1]", "c": "ic=list(ia)\nprint(ic)"},
        {"a": "ia=[1]", "b": "ia.append(5)", "c": "ic=list(ia)\nprint(ic)"},
        "(ia,ic)",
        ["a"],
        [],
    ),
    "identical": (
        {"a": "xa=0", "b": "xa+=1\nprint(xa)", "c": "xa+=1\nprint(xa)"},
        {"a": "xa=0", "b": "xa+=1\nprint(xa)", "c": "xa+=1\nprint(xa)", "d": "xa+=1\nprint(xa)"},
        "xa",
        ["a", "b", "c"],
        [],
    ),
    "identical del": (
        {
            "a": "ya=0",
            "b": "ya+=1; yy=ask('y')",
            "c": "ya+=1; yy=ask('y')",
            "d": "ya+=1; yy=ask('y')",
        },
        {"a": "ya=0", "b": "ya+=1; yy=ask('y')", "d": "ya+=1; yy=ask('y')"},
        "(ya,yy)",
        ["a", "b", "d"],
        [],
    ),
    "names in texts": (
        {
            "a": "import duckdb, pandas as pd, polars as pl\ntl=1\ntt_d=pd.DataFrame({'a':[1,2,3]})",
            "b": "tt_n=len(tt_d.query('a > @tl'))",
            "c": "tt_q={'sum': 'select sum(a) from tt_d'}\ndef tt_run(n): return duckdb.sql(tt_q[n]).fetchall()",
            "d": "tt_r=tt_run('sum')",
            "e": "tt_p=pl.sql('select sum(a) from tt_d').collect().rows()",
        },
        {
            "a": "import duckdb, pandas as pd, polars as pl\ntl=2\ntt_d=pd.DataFrame({'a':[1,2,4]})",
            "b": "tt_n=len(tt_d.query('a > @tl'))",
            "c": "tt_q={'sum': 'select sum(a) from tt_d'}\ndef tt_run(n): return duckdb.sql(tt_q[n]).fetchall()",
            "d": "tt_r=tt_run('sum')",
            "e": "tt_p=pl.sql('select sum(a) from tt_d').collect().rows()",
        },
        "(tt_n,tt_r,tt_p)",
        [],
        [],
    ),
    "fn edit": (
        {"a": "def fe(x): return fh(x)\ndef fh(x): return x+1", "b": "fv=fe(1)"},
        {"a": "def fe(x): return fh(x)\ndef fh(x): return x+2", "b": "fv=fe(1)"},
        "fv",
        [],
        [],
    ),
    "cls edit": (
        {"a": "class CE:\n    def m(self): return 1", "b": "ce=CE()", "c": "cm=ce.m()"},
        {"a": "class CE:\n    def m(self): return 2", "b": "ce=CE()", "c": "cm=ce.m()"},
        "(cm,ce.m(),type(ce) is CE)",
        [],
        [],
    ),
    "base edit": (
        {
            "a": "class BE:\n    def m(self): return 1",
            "b": "class BF(BE): pass",
            "c": "bf=BF()",
            "d": "bm=bf.m()",
        },
        {
            "a": "class BE:\n    def m(self): return 2",
            "b": "class BF(BE): pass",
            "c": "bf=BF()",
            "d": "bm=bf.m()",
        },
        "(bm,bf.m(),isinstance(bf,BE))",
        [],
        [],
    ),
    "default edit": (
        {"a": "DE=1", "b": "def df_(x=DE): return x", "c": "dv=df_()"},
        {"a": "DE=2", "b": "def df_(x=DE): return x", "c": "dv=df_()"},
        "dv",
        [],
        [],
    ),
    "shadow": (
        {"a": "sa=len([1,2])", "b": "sb=sa"},
        {"a0": "def len(x): return 99", "a": "sa=len([1,2])", "b": "sb=sa", "z": "del len"},
        "(sa,sb)",
        [],
        [],
    ),
    "tryname": (
        {"a": "try:\n    tn\nexcept NameError: tv='none'\nelse: tv='have'"},
        {"a0": "tn=1", "a": "try:\n    tn\nexcept NameError: tv='none'\nelse: tv='have'"},
        "tv",
        [],
        [],
    ),
    "mutate before": (
        {"a": "mb=[]", "b": "mb2=mb", "c": "mb2.append(1)"},
        {"a": "mb=[]", "b": "mb2=list(mb)", "c": "mb2.append(1)"},
        "(mb,mb2)",
        ["a"],
        [],
    ),
    "alias break": (
        {"a": "ab=[0]; ac=ab", "b": "ac.append(1)", "c": "print(ab)"},
        {"a": "ab=[0]; ac=[0]", "b": "ac.append(1)", "c": "print(ab)"},
        "(ab,ac,ab is ac)",
        [],
        [],
    ),
    "alias make": (
        {"a": "am=[0]; an=[0]", "b": "an.append(1)", "c": "print(am)"},
        {"a": "am=[0]; an=am", "b": "an.append(1)", "c": "print(am)"},
        "(am,an,am is an)",
        [],
        [],
    ),
    "import change": (
        {"a": "from math import floor as rnd", "b": "rv=rnd(1.7)"},
        {"a": "from math import ceil as rnd", "b": "rv=rnd(1.7)"},
        "rv",
        [],
        [],
    ),
    "seed edit": (
        {
            "a": "import random\nrandom.seed(1)",
            "b": "sv=random.random()",
            "c": "sw=random.random()",
        },
        {
            "a": "import random\nrandom.seed(2)",
            "b": "sv=random.random()",
            "c": "sw=random.random()",
        },
        "(sv,sw)",
        [],
        [],
    ),
    "seed insert": (
        {"a": "random.seed(1)", "c": "si=random.random()", "d": "sj=random.random()"},
        {
            "a": "random.seed(1)",
            "b": "random.random();",
            "c": "si=random.random()",
            "d": "sj=random.random()",
        },
        "(si,sj)",
        [],
        [],
    ),
    "seed delete": (
        {"a": "random.seed(7)", "b": "sk=random.random()", "c": "sl=random.random()"},
        {"a": "random.seed(7)", "c": "sl=random.random()"},
        "(sl,)",
        [],
        [],
    ),
    "closure edit": (
        {
            "a": "def mkc(n):\n    def g(): return n\n    return g",
            "b": "cg=mkc(1)",
            "c": "cgv=cg()",
        },
        {
            "a": "def mkc(n):\n    def g(): return n*10\n    return g",
            "b": "cg=mkc(1)",
            "c": "cgv=cg()",
        },
        "(cgv,cg())",
        [],
        [],
    ),
    "step edit": (
        {
            "a": "@step\ndef se(q):\n    open('ledger.txt','a').write('v1 '+q+'\\n')\n    return q",
            "b": "sr=[se('1')]",
        },
        {
            "a": "@step\ndef se(q):\n    open('ledger.txt','a').write('v2 '+q+'\\n')\n    return q",
            "b": "sr=[se('1')]",
        },
        "sr",
        [],
        [],
    ),
    "step comment": (
        {
            "a": "@step\ndef sc(q):\n    open('ledger.txt','a').write('more '+q+'\\n')\n    return q",
            "b": "sx=[sc('1')]",
        },
        {
            "a": "@step\ndef sc(q):\n    # explained\n    open('ledger.txt','a').write('more '+q+'\\n')\n    return q",
            "b": "sx=[sc('1'), sc('2')]",
        },
        "sx",
        ["a"],
        [],
    ),
    "lambda default": (
        {"a": "ld=[1]", "b": "lf=lambda y=ld: y", "c": "ld.append(2)", "d": "lg=lf()"},
        {"a": "ld=[9]", "b": "lf=lambda y=ld: y", "c": "ld.append(2)", "d": "lg=lf()"},
        "(lg, lf() is ld)",
        [],
        [],
    ),
    "hidden mut": (
        {
            "a": "hm={'l':[1]}",
            "b": "def addh(): hm['l'].append(2)",
            "c": "addh()",
            "d": "hv=len(hm['l'])",
        },
        {"a": "hm={'l':[1]}", "b": "def addh(): hm['l'].append(2)", "d": "hv=len(hm['l'])"},
        "(hm,hv)",
        ["a", "b"],
        [],
    ),
    "clsattr": (
        {"a": "class CQ: x=1", "b": "CQ.x=2", "c": "cq=CQ().x"},
        {"a": "class CQ: x=1", "c": "cq=CQ().x"},
        "(cq,CQ.x)",
        ["a"],
        [],
    ),
    "swapnames": (
        {"a": "n1=1;n2=2", "b": "n3=n1-n2"},
        {"a": "n1=2;n2=1", "b": "n3=n1-n2"},
        "n3",
        [],
        [],
    ),
    "type same eq": (
        {"a": "te=1", "b": "tf=repr(te)"},
        {"a": "te=True", "b": "tf=repr(te)"},
        "tf",
        [],
        [],
    ),
    "type same eq2": (
        {"a": "tg=1.0", "b": "th=repr(tg)"},
        {"a": "tg=1", "b": "th=repr(tg)"},
        "th",
        [],
        [],
    ),
    "neg zero": (
        {"a": "nz=0.0", "b": "ny=repr(nz)"},
        {"a": "nz=-0.0", "b": "ny=repr(nz)"},
        "ny",
        [],
        [],
    ),
    "dict order": (
        {"a": "do={'a':1,'b':2}", "b": "dk=list(do)"},
        {"a": "do={'b':2,'a':1}", "b": "dk=list(do)"},
        "dk",
        [],
        [],
    ),
    "nested global": (
        {"a": "ng=1\ndef rg():\n    def i(): return ng\n    return i()", "b": "rgv=rg()"},
        {"a": "ng=2\ndef rg():\n    def i(): return ng\n    return i()", "b": "rgv=rg()"},
        "rgv",
        [],
        [],
    ),
    "attr call": (
        {
            "a": "class AA:\n    def run(s): return helper_aa()\ndef helper_aa(): return 1",
            "b": "aao=AA()",
            "c": "aav=aao.run()",
        },
        {
            "a": "class AA:\n    def run(s): return helper_aa()\ndef helper_aa(): return 2",
            "b": "aao=AA()",
            "c": "aav=aao.run()",
        },
        "aav",
        [],
        [],
    ),
    "late global": (
        {"a": "def lg_(): return LGX", "b": "LGX=1", "c": "lgv=lg_()"},
        {"a": "def lg_(): return LGX", "b": "LGX=2", "c": "lgv=lg_()"},
        "lgv",
        ["a"],
        [],
    ),
    "exc group": (
        {
            "a": "eg={'x':[1]}; eh=eg['x']",
            "b": "eh.append(2)",
            "c": "eg2=dict(eg)",
            "d": "eh.append(3)",
        },
        {
            "a": "eg={'x':[1]}; eh=eg['x']",
            "b": "eh.append(2)",
            "d": "eh.append(3)",
            "c": "eg2=dict(eg)",
        },
        "(eg,eh,eg2,eg2['x'] is eh)",
        ["a", "b"],
        [],
    ),
    "np edit": (
        {
            "a": "import numpy as np\nnpa=np.zeros(4); npb=npa[1:3]",
            "b": "npb+=1",
            "c": "nps=npa.sum()",
        },
        {
            "a": "import numpy as np\nnpa=np.zeros(4); npb=npa[1:3].copy()",
            "b": "npb+=1",
            "c": "nps=npa.sum()",
        },
        "(float(nps),npa.tolist())",
        [],
        [],
    ),
    "cond skip": (
        {"a": "ka=True", "b": "if ka: kb=1", "c": "kc='kb' in globals()"},
        {"a": "ka=False", "b": "if ka: kb=1", "c": "kc='kb' in globals()"},
        "(kc,'kb' in globals())",
        [],
        [],
    ),
    "out edit": (
        {"a": "'first'", "b": "oe=_"},
        {"a": "'second'", "b": "oe=_"},
        "oe",
        [],
        [],
    ),
    "dead del": (
        {"a": "zd=1", "b": "del zd", "c": "zc='zd' in dir()"},
        {"a": "zd=1", "c": "zc='zd' in dir()"},
        "('zd' in globals(),zc)",
        ["a"],
        [],
    ),
    "cwd": (
        {
            "a": "import os\nos.makedirs('d1',exist_ok=True);os.makedirs('d2',exist_ok=True);os.chdir('d1')",
            "b": "cwb=os.path.basename(os.getcwd())",
            "c": "os.chdir('..')",
        },
        {
            "a": "import os\nos.makedirs('d1',exist_ok=True);os.makedirs('d2',exist_ok=True);os.chdir('d2')",
            "b": "cwb=os.path.basename(os.getcwd())",
            "c": "os.chdir('..')",
        },
        "cwb",
        [],
        ["a", "b", "c"],
    ),
    "file read in C": (
        {
            "a": "import pandas as pd, pathlib, sqlite3\nfcdir=pathlib.Path('.')",
            "b": "_w=pd.DataFrame({'v':[1]}).to_parquet(fcdir/'fc.parquet')\nwith sqlite3.connect('fc.db') as fcc:\n    fcc.executescript('drop table if exists t; create table t as select 1 as v')\nfcc.close(); del fcc",
            "c": "fcp=pd.read_parquet(fcdir / 'fc.parquet').v.tolist()",
            "d": "import duckdb\nfcq=duckdb.sql(\"SELECT v FROM 'fc.parquet'\").fetchall()",
            "e": "fcc=sqlite3.connect('fc.db'); fcs=fcc.execute('select v from t').fetchall(); fcc.close(); del fcc",
        },
        {
            "a": "import pandas as pd, pathlib, sqlite3\nfcdir=pathlib.Path('.')",
            "b": "_w=pd.DataFrame({'v':[2]}).to_parquet(fcdir/'fc.parquet')\nwith sqlite3.connect('fc.db') as fcc:\n    fcc.executescript('drop table if exists t; create table t as select 2 as v')\nfcc.close(); del fcc",
            "c": "fcp=pd.read_parquet(fcdir / 'fc.parquet').v.tolist()",
            "d": "import duckdb\nfcq=duckdb.sql(\"SELECT v FROM 'fc.parquet'\").fetchall()",
            "e": "fcc=sqlite3.connect('fc.db'); fcs=fcc.execute('select v from t').fetchall(); fcc.close(); del fcc",
        },
        "(fcp,fcq,fcs)",
        ["a"],
        [],
    ),
    "file written below": (
        {
            "a": "import pandas as pd\nwith open('fw.txt','w') as f: f.write('1')\ndel f\npd.DataFrame({'v':[1]}).to_parquet('fw.parquet')",
            "b": "fwr=open('fw.txt').read(), pd.read_parquet('fw.parquet').v.tolist()",
            "c": "with open('fw.txt','a') as f: f.write('2')\ndel f\npd.DataFrame({'v':[1,2]}).to_parquet('fw.parquet')",
            "d": "fws=open('fw.txt').read(), pd.read_parquet('fw.parquet').v.tolist()",
        },
        {
            "a": "import pandas as pd\nwith open('fw.txt','w') as f: f.write('1')\ndel f\npd.DataFrame({'v':[1]}).to_parquet('fw.parquet')",
            "b": "fwr=open('fw.txt').read(), pd.read_parquet('fw.parquet').v.tolist()",
            "c": "with open('fw.txt','a') as f: f.write('2')\ndel f\npd.DataFrame({'v':[1,2]}).to_parquet('fw.parquet')",
            "d": "fws=open('fw.txt').read(), pd.read_parquet('fw.parquet').v.tolist()",
        },
        "(fwr,fws)",
        ["a", "b", "c", "d"],
        [],
    ),
    "file written above": (
        {
            "a": "with open('fa.txt','w') as f: f.write('1')\ndel f",
            "b": "far=open('fa.txt').read()",
            "c": "with open('fa.txt','w') as f: f.write('9')\ndel f",
        },
        {
            "a": "with open('fa.txt','w') as f: f.write('2')\ndel f",
            "b": "far=open('fa.txt').read()",
            "c": "with open('fa.txt','w') as f: f.write('9')\ndel f",
        },
        "far",
        ["c"],
        [],
    ),
    "env edit": (
        {"a": "import os\nos.environ['EDIT']='1'", "b": "ev=os.environ['EDIT']"},
        {"a": "import os\nos.environ['EDIT']='2'", "b": "ev=os.environ['EDIT']"},
        "(ev,os.environ['EDIT'])",
        [],
        [],
    ),
}


class STEPS:
    """One notebook of steps, and where it is killed."""

    helper = 'from evercell import step\nimport json\n\n@step\ndef hstep(x):\n    open("ledger.txt", "a").write(json.dumps(["helper", x]) + "\\n")\n    return int(x) + inner()\n\ndef inner():\n    return 1\n'
    sources = (
        'from evercell import step, RetryPolicy\nimport asyncio, json, os, threading, time\n\ndef note(*entry):\n    with open("ledger.txt", "a") as file:\n        file.write(json.dumps(entry) + "\\n")\n\ndef hangs(call):\n    return os.path.exists("hang") and open("hang").read() == call\n',
        '@step\ndef ask(q):\n    if hangs(q):\n        note("hanging", q)\n        while True: time.sleep(1)\n    note("ask", q)\n    return {"q": q}\n\n@step\nasync def aask(q):\n    if hangs(q):\n        note("hanging", q)\n        await asyncio.sleep(1000)\n    note("aask", q)\n    return [q]\n\n@step\ndef fail(q):\n    note("fail", q)\n    raise LookupError("no", q)\n\n@step(retry=RetryPolicy(maximum_attempts=3, initial_interval="1ms"))\ndef flaky(q):\n    note("flaky", q)\n    n = open("ledger.txt").read().count(\'["flaky"\')\n    if n < 3: raise ConnectionError(n)\n    return n\n',
        "[ask(f'a{n}') for n in range(3)][-1]",
        "ask.map([f'm{n}' for n in range(10)], max_concurrency=3)[-1]",
        "(await asyncio.gather(*[aask(f'g{n}') for n in range(6)]))[-1]",
        "found = []\nthreads = [threading.Thread(target=lambda n=n: found.append(ask(f't{n}')['q'])) for n in range(4)]\nfor t in threads: t.start()\nfor t in threads: t.join()\ndel threads, t\nsorted(found)",
        "try:\n    fail('1')\nexcept LookupError as e:\n    caught = e.args\nask('after'), caught",
        "flaky('1')",
        "one, two = ask('same'), ask('same')\none is two, one",
        "import helper\nhelper.hstep('5')",
        "(await aask.map(['n1', 'n2']))",
        "fail('2')",
    )
    kills = (
        (2, "a2"),
        (3, "m5"),
        (4, "g4"),
        (5, "t3"),
        (6, "after"),
    )  # (cell, the call that hangs)
    helped = 9
    failing = 11
    results = (
        "{'q': 'a2'}",
        "{'q': 'm9'}",
        "['g5']",
        "['t0', 't1', 't2', 't3']",
        "({'q': 'after'}, ('no', '1'))",
        "3",
        "(False, {'q': 'same'})",
        "6",
        "[['n1'], ['n2']]",
    )
